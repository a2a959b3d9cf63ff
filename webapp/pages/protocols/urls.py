"""The addresses below a project's protocols."""

from __future__ import annotations

from django.urls import URLPattern, path

from webapp.pages.views import protocol_new, protocols

urlpatterns: list[URLPattern] = [
    path("", protocols.protocols, name="protocols"),
    path("studies/<slug:group>/", protocols.study, name="protocol-study"),
    path("studies/<slug:group>/go-on/", protocols.go_on, name="protocol-go-on"),
    path("studies/<slug:group>/progress/", protocols.progress, name="protocol-progress"),
    path("studies/<slug:group>/figures/<str:chart>/", protocols.figure, name="protocol-figure"),
    path("<str:name>/", protocol_new.new, name="protocol"),
    path("<str:name>/plan/", protocol_new.plan, name="protocol-plan"),
]
