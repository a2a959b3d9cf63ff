"""Schedules on a clock that the test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.runs import scene
from webapp.sweeps.models import Firing, Schedule
from webapp.sweeps.scheduling import actions, clock, queries

START = datetime(2026, 11, 23, 7, 0, 30, tzinfo=UTC)  # a Monday; winter time in Berlin
RUN: dict[str, Any] = {"run": {"spec": scene.SPEC, "name": "nightly", "tags": ["night"]}}
SWEEP: dict[str, Any] = {
    "sweep": {
        "spec": {**scene.SPEC, "optimizer": {"name": "adamw"}},
        "search": {"sampler": "random", "space": {"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}},
        "objective": {"metric": "eval/loss"},
        "trials": 4,
    }
}


class Clock:
    """Stands still until it is moved."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = START
        patch.setattr(clock, "now", lambda: self.now)

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)

    def set(self, *when: int) -> None:
        self.now = datetime(*when, tzinfo=UTC)  # type: ignore[arg-type, misc]


def schedule(**fields: Any) -> Schedule:
    """Every five minutes, a run."""
    fields.setdefault("project", scene.project())
    fields.setdefault("user", scene.person())
    fields.setdefault("name", "Every five minutes")
    fields.setdefault("action", RUN)
    if not {"cron", "interval_s", "at"} & set(fields):
        fields["cron"] = "*/5 * * * *"
    return actions.create(**fields)


def fire_due() -> list[Firing]:
    """What the scheduler does at each tick, for all that is due now."""
    fired = []
    while due := queries.due(clock.now()):
        fired += [actions.fire(schedule_id, due_at) for schedule_id, due_at in due]
    return [firing for firing in fired if firing is not None]


def end_runs() -> None:
    """Whatever is in the queue is cancelled, so that nothing that a schedule began is left."""
    from webapp.runs import actions as runs
    from webapp.runs.models import Run

    for run in Run.objects.filter(status="queued"):
        runs.cancel(run)
