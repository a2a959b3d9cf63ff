"""What has become of the runs of open trials: their values, and how the trial ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from django.db.models import Prefetch

from webapp.runs.models import Run
from webapp.runs.states import FINAL, STOPPABLE, Status
from webapp.sweeps import queries
from webapp.sweeps.actions.control import cancel_all
from webapp.sweeps.actions.transitions import close
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.states import OPEN, Role, TrialStatus

ENDINGS = {
    Status.FAILED: TrialStatus.FAILED,
    Status.LOST: TrialStatus.FAILED,
    Status.OUT_OF_MEMORY: TrialStatus.OUT_OF_MEMORY,
    Status.DIVERGED: TrialStatus.DIVERGED,
}


class Open(NamedTuple):
    """A trial that is not over, with its tuning replicates and their runs."""

    trial: Trial
    tuning: list[Replicate]


def open_trials(sweep: Sweep) -> list[Open]:
    """By priority, then number."""
    tuning = Replicate.objects.filter(role=Role.TUNE).select_related("trial", "run__project").order_by("seed")
    found = Trial.objects.filter(sweep=sweep, status__in=OPEN).order_by("-priority", "number")
    return [
        Open(trial, list(trial.replicates.all())) for trial in found.prefetch_related(Prefetch("replicates", tuning))
    ]


def settle(sweep: Sweep, checked: Definition) -> bool:
    """Ends the trials whose runs are over. Whether any has ended."""
    trials = open_trials(sweep)
    measure([item for one in trials for item in one.tuning], checked, Role.TUNE)
    ended = [one.trial for one in trials if _settle(*one)]
    return bool(ended)


def measure(found: Sequence[Replicate], checked: Definition, role: Role) -> None:
    """Reads the values of the runs that have succeeded since."""
    fresh = [item for item in found if item.values is None and item.run.status == Status.SUCCEEDED]
    if not fresh:
        return
    values = queries.measured([item.run_id for item in fresh], checked, role)
    for item in fresh:
        told = [value if value is not None and math.isfinite(value) else None for value in values[item.run_id]]
        item.values = told
        if None not in told:
            Replicate.objects.filter(pk=item.pk).update(values=told)


def _settle(trial: Trial, items: Sequence[Replicate]) -> bool:
    status, message = _ending(trial, items)
    if status is None:
        if trial.status == TrialStatus.QUEUED and any(item.run.status != Status.QUEUED for item in items):
            Trial.objects.filter(pk=trial.pk).update(status=TrialStatus.RUNNING)
            trial.status = TrialStatus.RUNNING
        return False
    cancel_all(item.run for item in items if item.run.status in STOPPABLE and item.run.deleted_at is None)
    close(trial, status, message, _mean(items) if status == TrialStatus.SUCCEEDED else None)
    return True


def _ending(trial: Trial, items: Sequence[Replicate]) -> tuple[TrialStatus | None, str]:
    """How the trial has ended, or None while it may still succeed. One bad seed makes the trial bad."""
    for item in items:
        run = item.run
        if run.deleted_at is not None or run.status == Status.CANCELLED:
            return TrialStatus.CANCELLED, f"Run {run.pk} was {'deleted' if run.deleted_at else 'cancelled'}."
        if run.status in ENDINGS:
            return ENDINGS[Status(run.status)], _sentence(item)
        if item.values is not None and None in item.values:
            return TrialStatus.FAILED, f"Run {run.pk} (seed {item.seed}) ended without a finite value of the objective."
    is_done = len(items) >= trial.seeds and all(item.run.status in FINAL for item in items)
    return (TrialStatus.SUCCEEDED, "") if is_done else (None, "")


def _sentence(item: Replicate) -> str:
    run: Run = item.run
    said = run.error_message or f"Run {run.pk} ended as {run.get_status_display().lower()}."
    return f"Seed {item.seed}, run {run.pk}: {said}"


def _mean(items: Sequence[Replicate]) -> list[float]:
    columns = zip(*(item.values or [] for item in items), strict=True)
    return [math.fsum(column) / len(items) for column in columns]
