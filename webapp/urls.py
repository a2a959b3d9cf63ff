"""The address map: pages, the REST API, health, and nothing else."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from webapp.api.api import api
from webapp.system import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("metrics", health.prometheus, name="prometheus"),
    path("api/v1/", api.urls),
    path("", include("webapp.pages.urls")),
]

handler400 = "webapp.pages.views.errors.bad_request"
handler403 = "webapp.pages.views.errors.permission_denied"
handler404 = "webapp.pages.views.errors.not_found"
handler500 = "webapp.pages.views.errors.server_error"
