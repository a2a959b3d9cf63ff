"""Sweeps brought into any state by the real actions; runs end as a worker's reports would end them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from gpu_jobs import cost
from gpu_jobs import spec as specs
from gpu_jobs.events import Failed, Result
from tests.runs import scene as runs
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs import actions as run_actions
from webapp.runs.models import Attempt, Run
from webapp.sweeps import actions
from webapp.sweeps.models import Replicate, Sweep, Trial
from workers import batch

SPACE: dict[str, Any] = {
    "optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "batch_size": {"choices": [4, 8, 16]},
}
Objective = Callable[[Run], float]


def definition(**changes: Any) -> dict[str, Any]:
    return {
        "spec": {**runs.SPEC, "eval_every": 10},
        "search": {"sampler": "random", "space": SPACE},
        "objective": {"metric": "eval/loss"},
        "trials": 4,
        "concurrency": 2,
        **changes,
    }


def create(**changes: Any) -> Sweep:
    about = {key: changes.pop(key) for key in ("project", "user", "name", "priority", "tags") if key in changes}
    about = {"project": runs.project(), "user": runs.person(), "name": "a sweep", **about}
    return actions.create(definition=definition(**changes), **about)


def advanced(sweep: Sweep) -> Sweep:
    actions.advance(sweep.pk)
    sweep.refresh_from_db()
    return sweep


def waiting(sweep: Sweep) -> list[Run]:
    found = Run.objects.filter(replicate__trial__sweep=sweep, status="queued", deleted_at=None)
    return list(found.order_by("id"))


def begin(run: Run) -> Attempt:
    """Claims exactly this run and starts it."""
    run_actions.move(run, 1)
    attempt = runs.claim(runs.worker("sweeps"), free=run.gpus)
    assert attempt is not None and attempt.run_id == run.pk
    facts = {"parameters": {"total": 10, "trainable": 10}, "flops": planned_flops(run.spec)}
    run_actions.started(attempt, facts, {"seed": run.spec["seed"]}, attempt.resumed_from_step or 0, run.steps)
    return attempt


def planned_flops(spec: dict[str, Any]) -> Any:
    return cost.plan(specs.parse(spec), bf16=False).flops


@transaction.atomic
def log(attempt: Attempt, name: str, points: dict[int, float]) -> None:
    steps = list(points)
    store.append(attempt.run_id, {name: Points.of(steps, [points[step] for step in steps], [float(s) for s in steps])})


@transaction.atomic
def end(attempt: Attempt, event: Any = None) -> None:
    batch.end(run_actions.lock(attempt.pk), event or Result(values={"wall_time_s": 10.0}))


def train(run: Run, value: float, metric: str = "eval/loss") -> None:
    """A run from its claim to success with one evaluation."""
    attempt = begin(run)
    log(attempt, metric, {100: value})
    end(attempt)


def break_down(run: Run, outcome: str = "failed", message: str = "It broke.") -> None:
    end(begin(run), Failed(outcome=outcome, error="SomeError", message=message))


def finish(sweep: Sweep, objective: Objective, most: int = 1000) -> Sweep:
    """Trains whatever it queues until it is over."""
    for _ in range(most):
        if advanced(sweep).ended_at is not None:
            return sweep
        for run in waiting(sweep):
            role = Replicate.objects.get(run=run).role
            train(run, objective(run), "eval/loss" if role == "tune" else "test/loss")
    raise AssertionError("the sweep does not end")


def trials(sweep: Sweep) -> list[Trial]:
    return list(Trial.objects.filter(sweep=sweep).order_by("number"))
