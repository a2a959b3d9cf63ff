"""A sweep as a flat table: one row a run, with everything that charts, protocols and exports compute from."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from webapp.metrics.queries import summaries
from webapp.metrics.summary import Summary
from webapp.sweeps.models import Replicate, Sweep


class Row(NamedTuple):
    """`values` are the replicate's objectives; `metrics` the summaries of all that its run has logged."""

    sweep: int
    trial: int  # its number
    params: dict[str, Any]
    trial_status: str
    role: str
    seed: int
    run: int
    status: str  # the run's
    values: list[float | None] | None
    metrics: dict[str, Summary]
    spec: dict[str, Any]
    facts: dict[str, Any]
    result: dict[str, Any] | None
    step: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    worker: str


def rows(sweep: Sweep, metrics: Iterable[str] | None = None) -> list[Row]:
    """Every run of a sweep, by trial, role and seed. `metrics`: only these summaries (all when None)."""
    found = list(
        Replicate.objects.filter(trial__sweep=sweep)
        .select_related("trial", "run")
        .prefetch_related("run__attempts")
        .order_by("trial__number", "role", "seed")
    )
    told = summaries([item.run_id for item in found], None if metrics is None else list(metrics))
    return [_row(item, told.get(item.run_id, {})) for item in found]


def _row(item: Replicate, metrics: dict[str, Summary]) -> Row:
    run, trial = item.run, item.trial
    attempts = list(run.attempts.all())
    return Row(
        sweep=trial.sweep_id, trial=trial.number, params=trial.params, trial_status=trial.status, role=item.role,
        seed=item.seed, run=run.pk, status=run.status, values=item.values, metrics=metrics, spec=run.spec,
        facts=run.facts, result=run.result, step=run.step, created_at=run.created_at, started_at=run.started_at,
        ended_at=run.ended_at, worker=attempts[-1].worker_name if attempts else "",
    )  # fmt: skip
