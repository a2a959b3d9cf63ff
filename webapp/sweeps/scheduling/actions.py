"""Every write of schedules. The periodic row of django-celery-beat is kept in step in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from webapp.accounts.models import Project, User
from webapp.sweeps.errors import Invalid, WrongState
from webapp.sweeps.models import Firing, Schedule
from webapp.sweeps.scheduling import clock, firing, periodic
from webapp.sweeps.scheduling.checking import WHEN, checked
from webapp.sweeps.scheduling.firing import fire, give_up
from webapp.sweeps.scheduling.standing import why_lost
from webapp.sweeps.scheduling.times import timing_of

__all__ = ["create", "delete", "disable", "edit", "enable", "fire", "give_up", "run_now"]

FIELDS = ("name", *WHEN, "timezone", "action", "missed", "overlap", "enabled")


@transaction.atomic
def create(
    *,
    project: Project,
    user: User,
    name: str,
    action: dict[str, Any],
    cron: str = "",
    interval_s: int | None = None,
    at: datetime | None = None,
    timezone: str = "UTC",
    missed: str = Schedule.Missed.SKIP,
    overlap: bool = False,
    enabled: bool = True,
) -> Schedule:
    """A schedule that acts for `user`, from now on. Raises Invalid, also for an action that would be refused."""
    values = {
        "name": name, "cron": cron, "interval_s": interval_s, "at": at, "timezone": timezone, "action": action,
        "missed": missed, "overlap": overlap, "enabled": enabled,
    }  # fmt: skip
    columns = checked(project, user, values)
    schedule = Schedule.objects.create(project=project, created_by=user, **columns)
    _require_standing(schedule)
    periodic.write(schedule, _second())
    schedule.refresh_from_db()
    return schedule


@transaction.atomic
def edit(schedule: Schedule, user: User, changes: Mapping[str, Any]) -> Schedule:
    """Changes any of FIELDS; a new cron, interval_s or at takes the place of the old one. Raises Invalid.

    Times count anew from now when the timing changes or it is enabled: none from before is made up for. Who changes
    what it does, or enables it after it lost the person it acted for, is the one it acts for from then on: nobody can
    make it read what only another person may read.
    """
    schedule = locked(schedule)
    before = {name: getattr(schedule, name) for name in FIELDS}
    values = before | _one_timing(changes)
    begins = values["enabled"] and not schedule.enabled
    takes_over = values["action"] != schedule.action or (begins and bool(why_lost(schedule)))
    person = user if takes_over else schedule.created_by
    timing = timing_of(schedule)
    columns = checked(schedule.project, person, values, acts=takes_over or begins)
    for name, value in {**columns, "created_by": person}.items():
        setattr(schedule, name, value)
    if begins:
        schedule.notice = ""
        _require_standing(schedule)
    schedule.save(update_fields=[*FIELDS, "created_by", "notice"])
    periodic.write(schedule, _second() if begins or timing != timing_of(schedule) else None)
    schedule.refresh_from_db()
    return schedule


def enable(schedule: Schedule, user: User) -> Schedule:
    """From now on. Raises Invalid when what it does would be refused, or its only time is past."""
    return edit(schedule, user, {"enabled": True})


@transaction.atomic
def disable(schedule: Schedule) -> Schedule:
    """What it has begun goes on. Nothing that is wrong with a schedule keeps it enabled."""
    schedule = locked(schedule)
    periodic.disable(schedule, schedule.notice)
    schedule.refresh_from_db()
    return schedule


@transaction.atomic
def delete(schedule: Schedule) -> None:
    """Hides it and its history; what it has begun stays. Deleting a deleted schedule changes nothing."""
    schedule = locked(schedule)
    periodic.delete(schedule)
    Schedule.objects.filter(pk=schedule.pk, deleted_at=None).update(deleted_at=clock.now(), enabled=False)


@transaction.atomic
def run_now(schedule: Schedule, user: User) -> Firing:
    """Begins it at once, for the person it acts for; its times stay as they are. Raises Invalid and WrongState."""
    schedule = locked(schedule)
    if problem := why_lost(schedule) or firing.still_at_it(schedule):
        raise WrongState(problem)
    return firing.begin(schedule, clock.now(), by=user)


def locked(schedule: Schedule) -> Schedule:
    """The row as it is now, until the end of the transaction."""
    return Schedule.objects.select_for_update(of=("self",)).select_related("project", "created_by").get(pk=schedule.pk)


def _require_standing(schedule: Schedule) -> None:
    if schedule.enabled and (problem := why_lost(schedule)):
        raise Invalid.field("enabled", problem)


def _one_timing(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes; where a timing is among them, the others are emptied, unless two were given (which is an error)."""
    given = {name for name in WHEN if changes.get(name) not in ("", None)}
    emptied = {"cron": "", "interval_s": None, "at": None} if given else {}
    unknown = sorted(set(changes) - set(FIELDS))
    if unknown:
        raise Invalid([{"loc": [name], "msg": "There is no such field."} for name in unknown])
    return emptied | dict(changes)


def _second() -> datetime:
    """Now, to the second: intervals count from here, and people read their times."""
    return clock.now().replace(microsecond=0)
