"""A sweep as its rows: two methods, a log learning rate, a rank that only one method has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from webapp.accounts.models import Project
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs.models import Attempt, Queue, Run
from webapp.runs.states import Status
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.states import TrialStatus

START = datetime(2026, 1, 1, tzinfo=UTC)
SPACE = {
    "optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True},
    "method.name": {"choices": ["full", "lora"]},
    "method.rank": {"low": 2, "high": 32, "log": True, "when": {"method.name": ["lora"]}},
}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def definition(**changes: Any) -> Definition:
    whole = {
        "spec": {"kind": "pretrain"},
        "search": {"sampler": "random", "space": SPACE},
        "objective": {"metric": "eval/loss"},
        "trials": 10,
    }
    return Definition.model_validate({**whole, **changes})


def make_sweep(**changes: Any) -> Sweep:
    project, _ = Project.objects.get_or_create(slug="lab", defaults={"name": "Lab"})
    Queue.objects.get_or_create(name="default")
    checked = definition(**changes).model_dump(mode="json")
    return Sweep.objects.create(
        project=project, name="a sweep", definition=checked, queue_id="default", created_at=START
    )


def make_trial(
    sweep: Sweep, number: int, values: Sequence[float] | None = None, status: str = TrialStatus.SUCCEEDED, **fields: Any
) -> Trial:
    """Over at `number` times 100 s, unless `ended_at` is told."""
    fields = {"ended_at": at(100 * number), "params": {"optimizer.lr": 0.01, "method.name": "full"}, **fields}
    return Trial.objects.create(sweep=sweep, number=number, values=values, status=status, **fields)


def make_run(
    trial: Trial, seed: int = 0, *, role: str = "tune", values: Sequence[float] | None = None,
    began: float = 0, ended: float | None = 100, status: str = Status.SUCCEEDED, worker: str = "gpu-a", **fields: Any,
) -> Run:  # fmt: skip
    """A replicate's run with one attempt of those seconds."""
    over = None if ended is None else at(ended)
    run = Run.objects.create(
        project=trial.sweep.project, name=f"t{trial.number}", kind="pretrain", status=status, queue_id="default",
        started_at=at(began), ended_at=over, **fields,
    )  # fmt: skip
    Replicate.objects.create(trial=trial, run=run, seed=seed, role=role, values=values)
    make_attempt(run, 1, began, ended, status, worker)
    return run


def make_attempt(
    run: Run, number: int, began: float, ended: float | None, status: str, worker: str = "gpu-a", **fields: Any
) -> Attempt:
    over = None if ended is None else at(ended)
    return Attempt.objects.create(
        run=run, number=number, worker_name=worker, status=status, started_at=at(began), ended_at=over, **fields
    )


def log(run: Run, series: Mapping[str, Mapping[int, float]]) -> None:
    """{metric: {step: value}}."""
    points = {
        name: Points.of(list(told), list(told.values()), [START.timestamp() + step for step in told])
        for name, told in series.items()
    }
    with transaction.atomic():
        store.append(run.pk, points)


def fill(sweep: Sweep, worker: str = "gpu-a") -> None:
    """Fourteen trials of two seeds, one that failed, one that was stopped; series, forecasts and results."""
    metric = sweep.definition["objective"][0]["metric"]
    names = sweep.definition["search"]["space"]["method.name"]["choices"]
    for number in range(1, 15):
        loss, forecast = 1 + 1 / number, {"step": 10, "target_step": 20, "mean": 1.2, "low": 1.0, "high": 1.4}
        params = {
            "optimizer.lr": 10 ** (-4 + 3 * number / 15),
            "method.name": names[-1],
            "method.rank": 2 + 2 * (number % 9),
        }
        failed, stopped = number == 5, number == 6
        status = TrialStatus.FAILED if failed else TrialStatus.STOPPED if stopped else TrialStatus.SUCCEEDED
        trial = make_trial(sweep, number, None if failed else [loss], status, params=params,
                           forecasts=[forecast, {**forecast, "step": 15}])  # fmt: skip
        for seed in (0, 1):
            run = make_run(trial, seed, values=[loss + seed / 100], began=100 * number, ended=100 * number + 90,
                           steps=20, worker=worker, result={"wall_time_s": 90 + number % 4})  # fmt: skip
            log(run, {metric: {5: 3.0 + number / 10, 10: 2 + 1 / number, 20: loss}})
