"""The addresses of the pages. A page and its fragments share one; what only changes something is a POST below it."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from webapp.pages.views import (
    account,
    compare,
    compare_masks,
    home,
    members,
    methods,
    projects,
    queue,
    sign_in,
    styleguide,
    tokens,
    workers,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("capacity/", home.capacity, name="capacity"),
    path("sign-in/", sign_in.sign_in, name="sign-in"),
    path("sign-out/", sign_in.sign_out, name="sign-out"),
    path("login/<str:token>/", sign_in.login_link, name="login-link"),
    path("account/", account.account, name="account"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/<int:token_id>/revoke/", tokens.token_revoke, name="token-revoke"),
    path("projects/", projects.projects, name="projects"),
    path("projects/new/", projects.project_new, name="project-new"),
    path("p/<slug:slug>/", projects.project, name="project"),
    path("p/<slug:slug>/rename/", projects.project_rename, name="project-rename"),
    path("p/<slug:slug>/members/", members.members, name="project-members"),
    path("p/<slug:slug>/members/<int:user_id>/role/", members.member_role, name="member-role"),
    path("p/<slug:slug>/members/<int:user_id>/remove/", members.member_remove, name="member-remove"),
    path("p/<slug:slug>/runs/", include("webapp.pages.runs.urls")),
    path("p/<slug:slug>/sweeps/", include("webapp.pages.sweeps.urls")),
    path("p/<slug:slug>/protocols/", include("webapp.pages.protocols.urls")),
    path("p/<slug:slug>/scaling/", include("webapp.pages.scaling.urls")),
    path("p/<slug:slug>/schedules/", include("webapp.pages.schedules.urls")),
    path("compare/", compare.compare, name="compare"),
    path("compare/figures/<str:name>/", compare.figure, name="compare-figure"),
    path("compare/csv/", compare.csv, name="compare-csv"),
    path("compare/masks/", compare_masks.masks, name="compare-masks"),
    path("compare/masks/figures/<str:name>/", compare_masks.figure, name="compare-masks-figure"),
    path("queue/", queue.queue, name="queue"),
    path("queue/runs/<int:run_id>/move/", queue.queue_move, name="queue-move"),
    path("queue/<str:name>/pause/", queue.queue_pause, name="queue-pause"),
    path("queue/<str:name>/resume/", queue.queue_resume, name="queue-resume"),
    path("workers/", workers.workers, name="workers"),
    path("workers/<int:worker_id>/drain/", workers.worker_drain, name="worker-drain"),
    path("workers/<int:worker_id>/undrain/", workers.worker_undrain, name="worker-undrain"),
    path("methods/", methods.methods, name="methods"),
    path("methods/<str:family>/<str:name>/", methods.method, name="method"),
    path("styleguide/", styleguide.styleguide, name="styleguide"),
]
