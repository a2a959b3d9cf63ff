"""The addresses below a project's runs."""

from __future__ import annotations

from django.urls import URLPattern, path

from webapp.pages.views import (
    run,
    run_actions,
    run_exports,
    run_figures,
    run_media,
    run_new,
    run_panels,
    run_views,
    runs,
    runs_bulk,
    runs_columns,
)

urlpatterns: list[URLPattern] = [
    path("", runs.runs, name="runs"),
    path("columns/", runs_columns.columns, name="runs-columns"),
    path("bulk/", runs_bulk.runs_bulk, name="runs-bulk"),
    path("export/", run_exports.runs_export, name="run-export"),
    path("views/", run_views.views, name="run-views"),
    path("views/save/", run_views.view_save, name="run-view-save"),
    path("views/<int:view_id>/", run_views.view, name="run-view"),
    path("views/<int:view_id>/change/", run_views.view_change, name="run-view-change"),
    path("views/<int:view_id>/delete/", run_views.view_delete, name="run-view-delete"),
    path("new/", run_new.new, name="run-new"),
    path("new/plan/", run_new.plan, name="run-plan"),
    path("new/fits/", run_new.fits, name="run-fits"),
    path("layouts/", run_panels.layout_save, name="run-layout-save"),
    path("layouts/<int:layout_id>/delete/", run_panels.layout_delete, name="run-layout-delete"),
    path("<int:run_id>/", run.charts, name="run"),
    path("<int:run_id>/media/", run_media.media, name="run-media"),
    path("<int:run_id>/media/figure/", run_media.figure, name="run-media-figure"),
    path("<int:run_id>/panels/", run_panels.panels, name="run-panels"),
    path("<int:run_id>/log/", run.log, name="run-log"),
    path("<int:run_id>/config/", run.config, name="run-config"),
    path("<int:run_id>/artifacts/", run.artifacts_, name="run-artifacts"),
    path("<int:run_id>/attempts/", run.attempts, name="run-attempts"),
    path("<int:run_id>/provenance/", run.provenance, name="run-provenance"),
    path("<int:run_id>/head/", run.head, name="run-head"),
    path("<int:run_id>/figures/<str:name>/", run_figures.figure, name="run-figure"),
    path("<int:run_id>/edit/", run_actions.edit, name="run-edit"),
    path("<int:run_id>/cancel/", run_actions.cancel, name="run-cancel"),
    path("<int:run_id>/pause/", run_actions.pause, name="run-pause"),
    path("<int:run_id>/resume/", run_actions.resume, name="run-resume"),
    path("<int:run_id>/requeue/", run_actions.requeue, name="run-requeue"),
    path("<int:run_id>/delete/", run_actions.delete, name="run-delete"),
]
