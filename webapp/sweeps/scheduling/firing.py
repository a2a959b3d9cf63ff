"""What becomes of a time that has come: exactly one Firing, whoever asks and however often.

Under the schedule's row lock the time is compared with the one that its periodic row waits for, the outcome is written,
and that row moves on, all in one transaction. A scheduler that dies in between has done nothing; a second one finds the
row locked, or the time gone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from webapp.accounts.models import User
from webapp.runs.models import Run
from webapp.sweeps.errors import Invalid
from webapp.sweeps.models import Firing, Schedule
from webapp.sweeps.scheduling import acting, clock, periodic, queries
from webapp.sweeps.scheduling.standing import why_lost
from webapp.sweeps.scheduling.times import MOST_COUNTED, UNREADABLE, count, local, newest, timing_of

MISSED_AFTER_S = 60  # a time that is dealt with later than this was missed
MOST_REFUSED = 5  # in a row; then it stops by itself
AWAY = "The scheduler was away."


@transaction.atomic
def fire(schedule_id: int, due_at: datetime) -> Firing | None:
    """Deals with a time, and with all that were missed up to it. None: it was dealt with, or somebody is at it."""
    schedule = _waiting(schedule_id, due_at)
    if schedule is None:
        return None
    if lost := why_lost(schedule):
        firing = record(schedule, due_at, Firing.Outcome.REFUSED, lost)
        periodic.disable(schedule, lost)
        return firing
    return _on_time(schedule, due_at) if not _is_missed(due_at) else _missed(schedule, due_at)


@transaction.atomic
def give_up(schedule_id: int, due_at: datetime, message: str) -> Firing | None:
    """For a time that nothing can be done with, so that it does not come again and again."""
    schedule = Schedule.objects.select_for_update().get(pk=schedule_id)
    try:
        with transaction.atomic():
            return _refuse(schedule, due_at, message)
    except UNREADABLE:
        periodic.disable(schedule, message)
        return None


def record(
    schedule: Schedule, due_at: datetime, outcome: Firing.Outcome, message: str = "", by: User | None = None
) -> Firing:
    return Firing.objects.create(
        schedule=schedule, due_at=due_at, at=clock.now(), outcome=outcome, message=message, by=by
    )


def begin(schedule: Schedule, due_at: datetime, message: str = "", by: User | None = None) -> Firing:
    """Queues the action. Raises Invalid; then nothing is written."""
    with transaction.atomic():
        begun = acting.begin(schedule, due_at)
        firing = record(schedule, due_at, Firing.Outcome.QUEUED, message, by)
        setattr(firing, "run" if isinstance(begun, Run) else "sweep", begun)
        firing.save(update_fields=["run", "sweep"])
    return firing


def still_at_it(schedule: Schedule) -> str:
    """What it began before and is not over, as a sentence; empty when there is nothing, or when that is allowed."""
    firing = None if schedule.overlap else queries.unfinished(schedule)
    if firing is None:
        return ""
    begun = firing.run or firing.sweep
    kind = "Run" if firing.run else "Sweep"
    return f"{kind} {begun.pk}, which it began before, is not over ({begun.status})." if begun else ""


def _waiting(schedule_id: int, due_at: datetime) -> Schedule | None:
    """The schedule, locked, if it is this time that it waits for. Its periodic row is read under the lock."""
    locked = Schedule.objects.select_for_update(skip_locked=True, of=("self",))
    schedule = locked.filter(pk=schedule_id, enabled=True, deleted_at=None).first()
    waits = PeriodicTask.objects.filter(pk=schedule.task_id if schedule else None, enabled=True, start_time=due_at)
    if schedule is None or not waits.exists():
        return None
    if schedule.firings.filter(due_at=due_at).exists():  # the machine's clock was set back
        periodic.move(schedule, due_at)
        return None
    return schedule


def _is_missed(due_at: datetime) -> bool:
    return due_at < clock.now() - timedelta(seconds=MISSED_AFTER_S)


def _on_time(schedule: Schedule, due_at: datetime, message: str = "") -> Firing:
    if busy := still_at_it(schedule):
        return _done(schedule, record(schedule, due_at, Firing.Outcome.OVERLAP, busy))
    try:
        return _done(schedule, begin(schedule, due_at, message))
    except Invalid as error:
        return _refuse(schedule, due_at, _sentences(error))


def _missed(schedule: Schedule, due_at: datetime) -> Firing:
    """All missed times count as one, at the newest of them."""
    timing, until = timing_of(schedule), clock.now() - timedelta(seconds=MISSED_AFTER_S)
    others = count(timing, due_at, until)
    last = newest(timing, due_at, until) if others else due_at
    message = _told(schedule, due_at, others)
    if schedule.missed == Schedule.Missed.ONCE:
        return _on_time(schedule, last, message)
    return _done(schedule, record(schedule, last, Firing.Outcome.MISSED, message))


def _told(schedule: Schedule, first: datetime, others: int) -> str:
    if not others:
        return AWAY
    number = f"{others + 1:,}" if others < MOST_COUNTED else f"more than {MOST_COUNTED:,}"
    since = local(first, schedule.timezone)
    return f"{AWAY} {number} times were missed since {since:%-d %B %Y %H:%M}; this is the newest."


def _refuse(schedule: Schedule, due_at: datetime, message: str) -> Firing:
    firing = _done(schedule, record(schedule, due_at, Firing.Outcome.REFUSED, message))
    fired = PeriodicTask.objects.values_list("total_run_count", flat=True).get(pk=schedule.task_id)
    last = list(queries.firings(schedule).values_list("outcome", flat=True)[:MOST_REFUSED])
    if schedule.enabled and fired >= MOST_REFUSED and set(last) == {Firing.Outcome.REFUSED}:
        periodic.disable(schedule, f"It was refused {MOST_REFUSED} times in a row, at last because: {message}")
    return firing


def _done(schedule: Schedule, firing: Firing) -> Firing:
    periodic.move(schedule, firing.due_at)
    return firing


def _sentences(error: Invalid) -> str:
    return " ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors)
