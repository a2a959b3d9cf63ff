"""Every read of schedules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice

from django.db.models import Q, QuerySet

from webapp.accounts.models import User
from webapp.accounts.roles import projects_of
from webapp.runs.states import FINAL
from webapp.sweeps.models import Firing, Schedule, Sweep
from webapp.sweeps.scheduling import clock
from webapp.sweeps.scheduling.times import after, timing_of
from webapp.sweeps.states import LIVE

SHOWN_TIMES = 5
LIVING = Q(enabled=True, deleted_at=None, task__enabled=True)


def visible(user: User) -> QuerySet[Schedule]:
    """The schedules that a person can read, deleted ones left out."""
    found = Schedule.objects.filter(deleted_at=None, project__in=projects_of(user))
    return found.select_related("project", "created_by", "task")


def due(now: datetime) -> list[tuple[int, datetime]]:
    """(schedule, time) of every time that has come, the oldest first; one a schedule."""
    found = Schedule.objects.filter(LIVING, task__start_time__lte=now).order_by("task__start_time")
    return [(pk, time) for pk, time in found.values_list("pk", "task__start_time") if time]


def next_time() -> datetime | None:
    """When the next of all schedules fires."""
    times = Schedule.objects.filter(LIVING, task__start_time__isnull=False).order_by("task__start_time")
    return times.values_list("task__start_time", flat=True).first()


def upcoming(schedule: Schedule, number: int = SHOWN_TIMES) -> list[datetime]:
    """The next times in UTC: the one that the scheduler waits for, and those after it. None while it is disabled."""
    if not schedule.enabled or schedule.task is None or schedule.task.start_time is None:
        return []
    first, now = schedule.task.start_time, clock.now()
    times = (time for time in _from(schedule, first) if time > now)
    return list(islice(times, number))


def unfinished(schedule: Schedule) -> Firing | None:
    """The last firing whose run or sweep is not over."""
    run = Q(run__isnull=False, run__deleted_at=None) & ~Q(run__status__in=FINAL)
    sweep = Q(sweep__deleted_at=None, sweep__status__in=LIVE)
    begun = schedule.firings.filter(outcome=Firing.Outcome.QUEUED).select_related("run", "sweep")
    return begun.filter(run | sweep).first()


def firings(schedule: Schedule) -> QuerySet[Firing]:
    """Its history, newest first."""
    return schedule.firings.select_related("run", "sweep", "by").order_by("-id")


def last_firings(schedules: Iterable[Schedule]) -> dict[int, Firing]:
    """{schedule id: its last firing}, without those that never fired."""
    newest = Firing.objects.filter(schedule__in=[schedule.pk for schedule in schedules])
    newest = newest.order_by("schedule", "-id").distinct("schedule").select_related("run", "sweep", "by")
    return {firing.schedule_id: firing for firing in newest}


def sweeps_of(schedule: Schedule) -> QuerySet[Sweep]:
    return schedule.sweeps.filter(deleted_at=None).order_by("-id")


def _from(schedule: Schedule, first: datetime) -> Iterable[datetime]:
    yield first
    yield from after(timing_of(schedule), first)
