"""Reads that the frame and the system pages put together from several apps."""

from __future__ import annotations

from time import monotonic

from django.db.models import Prefetch, Q, QuerySet

from webapp.accounts.models import Role, User
from webapp.accounts.roles import projects_of
from webapp.runs.models import Attempt, Run, Worker
from webapp.runs.queries import visible


def workers_with_attempts() -> QuerySet[Worker]:
    """Workers that have not signed off, each with `live_attempts`: what it runs now."""
    live = Attempt.objects.filter(ended_at=None).select_related("run__project").order_by("started_at")
    return Worker.objects.filter(stopped_at=None).prefetch_related(
        Prefetch("attempts", queryset=live, to_attr="live_attempts")
    )


MANY, REMEMBERED_S = 10_000, 10.0
_counts: dict[int, tuple[float, int]] = {}  # project: when it was counted, and the number


def run_count(project_id: int) -> int:
    """Above 10,000 it may be ten seconds old: to count 100,000 runs takes as long as to show a page of them."""
    at, number = _counts.get(project_id, (0.0, 0))
    if number > MANY and monotonic() - at < REMEMBERED_S:
        return number
    number = Run.objects.filter(project_id=project_id, deleted_at=None).count()
    _counts[project_id] = (monotonic(), number)
    return number


def readable_project_ids(user: User) -> set[int]:
    return set(projects_of(user).values_list("id", flat=True))


def editable_project_ids(user: User) -> set[int]:
    """Projects in which this person may control runs."""
    if user.is_superuser:
        return readable_project_ids(user)
    memberships = user.memberships.filter(role__in=(Role.EDITOR, Role.OWNER))
    return set(memberships.values_list("project_id", flat=True))


def live_attempts(queue: str) -> QuerySet[Attempt]:
    """What runs now from this queue, the longest first."""
    live = Attempt.objects.filter(ended_at=None, run__queue_id=queue, run__deleted_at=None)
    return live.select_related("run__project").order_by("started_at")


def runs_using(user: User, family: str, name: str) -> QuerySet[Run]:
    """Readable runs whose spec names this method: under `method`, its family's own word, or `model`; newest first."""
    own_word = family.removesuffix("s")
    named = Q(spec__method__name=name) | Q(**{f"spec__{own_word}__name": name})
    if family == "architectures":
        named = Q(spec__model__architecture__name=name)
    return visible(user).filter(named).select_related("project").order_by("-id")
