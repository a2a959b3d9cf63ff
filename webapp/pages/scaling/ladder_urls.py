"""The addresses of ladders, below a project's scaling laws."""

from __future__ import annotations

from django.urls import URLPattern, path

from webapp.pages.views import ladder, ladder_new

urlpatterns: list[URLPattern] = [
    path("ladders/new/", ladder_new.new, name="ladder-new"),
    path("ladders/new/plan/", ladder_new.plan, name="ladder-plan"),
    path("ladders/<int:ladder_id>/", ladder.ladder, name="ladder"),
    path("ladders/<int:ladder_id>/progress/", ladder.progress, name="ladder-progress"),
    path("ladders/<int:ladder_id>/next/", ladder.queue_next, name="ladder-next"),
    path("ladders/<int:ladder_id>/cancel/", ladder.cancel, name="ladder-cancel"),
    path("ladders/<int:ladder_id>/delete/", ladder.delete, name="ladder-delete"),
]
