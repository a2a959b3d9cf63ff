"""What one can say of a schedule in a row: what it queues, when, and what became of its last time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webapp.pages.runs.describe import dig
from webapp.sweeps.models import Firing, Schedule
from webapp.sweeps.scheduling import queries
from webapp.sweeps.scheduling.times import local, timing_of
from webapp.sweeps.scheduling.words import words


@dataclass(frozen=True)
class Row:
    """`next` is in the schedule's own zone; None when nothing is to come."""

    schedule: Schedule
    what: str
    when: str
    next: datetime | None
    last: Firing | None


def rows(schedules: Sequence[Schedule]) -> list[Row]:
    last = queries.last_firings(schedules)
    return [_row(schedule, last.get(schedule.pk)) for schedule in schedules]


def what(action: dict[str, Any]) -> str:
    """ "Run: pretrain", "Run: finetune lora", "Sweep: tpe, 20 trials"."""
    run, sweep = action.get("run"), action.get("sweep")
    if run is not None:
        words = [dig(run, "spec", "kind"), dig(run, "spec", "method", "name")]
        return f"Run: {' '.join(str(word) for word in words if word)}"
    sampler = dig(sweep, "search", "sampler")
    name = dig(sampler, "name") if isinstance(sampler, dict) else sampler or "tpe"
    trials = dig(sweep, "trials")
    return f"Sweep: {name}, {trials} trials" if trials else f"Sweep: {name}"


def is_over(schedule: Schedule) -> bool:
    """Its one time has come."""
    return bool(schedule.at) and not schedule.enabled and schedule.firings.exists()


def _row(schedule: Schedule, last: Firing | None) -> Row:
    following = queries.upcoming(schedule, 1)
    coming = local(following[0], schedule.timezone) if following else None
    return Row(schedule, what(schedule.action), words(timing_of(schedule)), coming, last)
