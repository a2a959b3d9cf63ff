"""A sweep as a flat table: one row a run, with everything that charts, protocols and exports compute from."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from webapp.metrics.queries import summaries
from webapp.metrics.summary import Summary
from webapp.runs.actions.outside import EXTERNAL
from webapp.runs.models import Run
from webapp.sweeps.models import Replicate, Sweep
from webapp.sweeps.states import Role


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


def row_of(run: Run, metrics: dict[str, Summary]) -> Row:
    """A run as a row of its own, whatever sweep it is of: its metrics are meant as they are named.

    A run from outside tells no configuration, so its name is one. Nothing is asked of the database.
    """
    named = {"name": run.name} if run.kind == EXTERNAL else {}
    return Row(
        sweep=0, trial=run.pk, params=named, trial_status=run.status, role=Role.TUNE, seed=_seed(run), run=run.pk,
        status=run.status, values=None, metrics=metrics, spec=run.spec, facts=run.facts, result=run.result,
        step=run.step, created_at=run.created_at, started_at=run.started_at, ended_at=run.ended_at, worker="",
    )  # fmt: skip


def _seed(run: Run) -> int:
    """Runs that name no seed are samples all the same: each is told apart by its own number."""
    seed = run.spec.get("seed")
    return seed if isinstance(seed, int) else run.pk


def _row(item: Replicate, metrics: dict[str, Summary]) -> Row:
    run, trial = item.run, item.trial
    attempts = list(run.attempts.all())
    return Row(
        sweep=trial.sweep_id, trial=trial.number, params=trial.params, trial_status=trial.status, role=item.role,
        seed=item.seed, run=run.pk, status=run.status, values=item.values, metrics=metrics, spec=run.spec,
        facts=run.facts, result=run.result, step=run.step, created_at=run.created_at, started_at=run.started_at,
        ended_at=run.ended_at, worker=attempts[-1].worker_name if attempts else "",
    )  # fmt: skip
