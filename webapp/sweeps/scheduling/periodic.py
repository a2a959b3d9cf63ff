"""The django-celery-beat row of a schedule, always changed in the same transaction as the schedule.

What its columns mean here: `last_run_at` is the cursor, up to which every time has been dealt with; `start_time` is the
next time, before which the task is not to run; `total_run_count` counts what fired since a person last changed it.
The scheduler process reads them (see workers/schedules.py); Celery's own evaluation of the row is not used, for the
reasons that docs/decisions/0007-schedules.md gives.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from webapp.sweeps.models import Schedule
from webapp.sweeps.scheduling.times import Timing, next_after, timing_of

TASK = "webapp.sweeps.scheduling.actions.fire"
ROWS = {"crontab": CrontabSchedule, "interval": IntervalSchedule, "clocked": ClockedSchedule}
CRON_COLUMNS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


def write(schedule: Schedule, since: datetime | None) -> None:
    """Makes the row like the schedule. `since`: times count from here anew; None: the cursor stays."""
    task = schedule.task or PeriodicTask(name=f"schedule {schedule.pk}", task=TASK, kwargs=f'{{"id": {schedule.pk}}}')
    stale = _point(task, timing_of(schedule)) if since else None
    task.enabled, task.description, task.total_run_count = schedule.enabled, schedule.name, 0
    if since:
        task.last_run_at, task.start_time = since, next_after(timing_of(schedule), since)
    task.no_changes = True  # or Celery's own schedule would be told, through one row for which all would wait
    task.save()
    if stale:
        stale.delete()
    Schedule.objects.filter(pk=schedule.pk).update(task=task)
    schedule.task = task


def move(schedule: Schedule, cursor: datetime) -> None:
    """Everything up to `cursor` is dealt with. After the last time the schedule is over, and disabled."""
    following = next_after(timing_of(schedule), cursor)
    PeriodicTask.objects.filter(pk=schedule.task_id).update(
        last_run_at=cursor, start_time=following, total_run_count=F("total_run_count") + 1
    )
    if following is None:
        disable(schedule)


def disable(schedule: Schedule, notice: str = "") -> None:
    """Because of what happened, not because a person wanted it."""
    Schedule.objects.filter(pk=schedule.pk).update(enabled=False, notice=notice)
    PeriodicTask.objects.filter(pk=schedule.task_id).update(enabled=False)
    schedule.enabled, schedule.notice = False, notice


def delete(schedule: Schedule) -> None:
    task = schedule.task
    Schedule.objects.filter(pk=schedule.pk).update(task=None)
    if task:
        task.delete()
        task.scheduler.delete()


def _point(task: PeriodicTask, timing: Timing) -> Any:
    """Gives the row a timing of its own; returns the one it had, which is to be deleted once nothing names it."""
    stale = task.scheduler if task.pk else None
    kind, columns = _columns(timing)
    for name, model in ROWS.items():
        setattr(task, name, model.objects.create(**columns) if name == kind else None)
    task.one_off = kind == "clocked"
    return stale


def _columns(timing: Timing) -> tuple[str, dict[str, Any]]:
    if timing.interval_s:
        return "interval", {"every": timing.interval_s, "period": IntervalSchedule.SECONDS}
    if timing.at:
        return "clocked", {"clocked_time": timing.at}
    return "crontab", {**dict(zip(CRON_COLUMNS, timing.cron.split(), strict=True)), "timezone": timing.timezone}
