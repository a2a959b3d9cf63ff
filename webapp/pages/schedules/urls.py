"""The addresses below a project's schedules."""

from __future__ import annotations

from django.urls import URLPattern, path

from webapp.pages.views import schedule, schedule_actions, schedule_form, schedules

urlpatterns: list[URLPattern] = [
    path("", schedules.schedules, name="schedules"),
    path("new/", schedule_form.new, name="schedule-new"),
    path("preview/", schedule_form.preview, name="schedule-preview"),
    path("<int:schedule_id>/", schedule.schedule, name="schedule"),
    path("<int:schedule_id>/edit/", schedule_form.edit, name="schedule-edit"),
    path("<int:schedule_id>/run/", schedule_actions.run, name="schedule-run"),
    path("<int:schedule_id>/enable/", schedule_actions.enable, name="schedule-enable"),
    path("<int:schedule_id>/disable/", schedule_actions.disable, name="schedule-disable"),
    path("<int:schedule_id>/delete/", schedule_actions.delete, name="schedule-delete"),
]
