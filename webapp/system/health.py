"""`/healthz` for load balancers and `/metrics` for Prometheus."""

from __future__ import annotations

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from webapp.accounts.queries import user_of_token
from webapp.runs.models import Run
from webapp.runs.queries import living_workers


def broken_parts() -> list[str]:
    """The servers that do not answer: "database", "redis"."""
    broken = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        broken.append("database")
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1).ping()
    except redis.RedisError:
        broken.append("redis")
    return broken


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when both servers answer, else 503 with the names of those that do not. Open to anyone: it tells no more."""
    broken = broken_parts()
    return JsonResponse({"status": "unhealthy" if broken else "ok", "broken": broken}, status=503 if broken else 200)


@require_safe
def prometheus(request: HttpRequest) -> HttpResponse:
    """Counts of runs and slots in Prometheus' text format; needs the API token of a superuser."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    user = user_of_token(token) if scheme.lower() == "bearer" else None
    if user is None or not user.is_superuser:
        return HttpResponse("an admin's bearer token is needed\n", status=401, content_type="text/plain")
    return HttpResponse("\n".join(_lines()) + "\n", content_type="text/plain; version=0.0.4; charset=utf-8")


def _lines() -> list[str]:
    runs = Run.objects.filter(deleted_at=None).values_list("status").annotate(Count("id")).order_by("status")
    living = living_workers()
    slots = sum(living.values_list("slots", flat=True))
    return [
        "# HELP hone_runs Runs by state.",
        "# TYPE hone_runs gauge",
        *(f'hone_runs{{status="{status}"}} {count}' for status, count in runs),
        "# HELP hone_workers Workers that were heard of lately.",
        "# TYPE hone_workers gauge",
        f"hone_workers {living.count()}",
        "# HELP hone_slots Slots of living workers.",
        "# TYPE hone_slots gauge",
        f"hone_slots {slots}",
    ]
