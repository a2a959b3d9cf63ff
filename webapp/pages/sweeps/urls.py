"""The addresses below a project's sweeps."""

from __future__ import annotations

from django.urls import URLPattern, path

from webapp.pages.views import (
    sweep,
    sweep_actions,
    sweep_edit,
    sweep_extend,
    sweep_figures,
    sweep_import,
    sweep_new,
    sweeps,
)

urlpatterns: list[URLPattern] = [
    path("", sweeps.sweeps, name="sweeps"),
    path("new/", sweep_new.new, name="sweep-new"),
    path("new/plan/", sweep_new.plan, name="sweep-plan"),
    path("import/", sweep_import.import_, name="sweep-import"),
    path("<int:sweep_id>/", sweep.charts, name="sweep"),
    path("<int:sweep_id>/trials/", sweep.trials, name="sweep-trials"),
    path("<int:sweep_id>/timeline/", sweep.timeline, name="sweep-timeline"),
    path("<int:sweep_id>/config/", sweep.config, name="sweep-config"),
    path("<int:sweep_id>/events/", sweep.events, name="sweep-events"),
    path("<int:sweep_id>/head/", sweep.head, name="sweep-head"),
    path("<int:sweep_id>/figures/<str:name>/", sweep_figures.figure, name="sweep-figure"),
    path("<int:sweep_id>/pause/", sweep_actions.pause, name="sweep-pause"),
    path("<int:sweep_id>/resume/", sweep_actions.resume, name="sweep-resume"),
    path("<int:sweep_id>/stop/", sweep_actions.stop, name="sweep-stop"),
    path("<int:sweep_id>/delete/", sweep_actions.delete, name="sweep-delete"),
    path("<int:sweep_id>/requeue/", sweep_actions.requeue, name="sweep-requeue"),
    path("<int:sweep_id>/edit/", sweep_edit.edit, name="sweep-edit"),
    path("<int:sweep_id>/extend/", sweep_extend.extend, name="sweep-extend"),
    path("<int:sweep_id>/add/", sweep_extend.add, name="sweep-add"),
    path("<int:sweep_id>/trials/<int:number>/cancel/", sweep_actions.trial_cancel, name="sweep-trial-cancel"),
    path("<int:sweep_id>/trials/<int:number>/resume/", sweep_actions.trial_resume, name="sweep-trial-resume"),
    path("<int:sweep_id>/trials/<int:number>/priority/", sweep_actions.trial_priority, name="sweep-trial-priority"),
]
