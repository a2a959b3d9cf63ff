"""Ladders whose runs are trained as a worker would report them, with losses on a law; their fits are really made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from django.db import transaction

from gpu_jobs import cost
from gpu_jobs import spec as specs
from gpu_jobs.context import Context
from gpu_jobs.events import Artifact as Left
from gpu_jobs.events import Result
from gpu_jobs.outcomes import run as work
from tests.runs import scene
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs import actions as runs
from webapp.runs import blobs
from webapp.runs.models import Attempt, Run
from webapp.scaling import actions
from webapp.scaling.models import Fit, Ladder, Rung
from workers import batch

BASE: dict[str, Any] = {"data": {"source": "builtin", "name": "language-reference"}, "sequence_length": 32}
DESIGN: dict[str, Any] = {"name": "grid", "sizes": 4, "ratios": [5, 20, 80], "reach": 30}
TRUTH = {"E": 1.2, "A": 20.0, "B": 300.0, "alpha": 0.34, "beta": 0.37}


def definition(**changes: Any) -> dict[str, Any]:
    return {"target_flops": 1e13, "base": BASE, "design": DESIGN, "bootstrap": {"resamples": 60}, **changes}


def create(**changes: Any) -> Ladder:
    about = {key: changes.pop(key) for key in ("project", "user", "name", "tags", "queue") if key in changes}
    about = {"project": scene.project(), "user": scene.person(), **about}
    return actions.create_ladder(definition=definition(**changes), **about)


def truth(N: float, D: float) -> float:  # noqa: N803 - the law's own names
    return TRUTH["E"] + TRUTH["A"] * N ** -TRUTH["alpha"] + TRUTH["B"] * D ** -TRUTH["beta"]


def noisy(number: int, N: float, D: float) -> float:  # noqa: N803 - the law's own names
    """The truth with half a percent of noise, the same for the same rung."""
    return float(truth(N, D) * np.exp(np.random.RandomState(number).normal(0, 0.005)))


def train(rung: Rung, loss: Callable[[int, float, float], float] = noisy) -> None:
    """A rung from its claim to success."""
    assert rung.run is not None
    attempt = begin(rung.run)
    found: Any = specs.parse(attempt.run.spec)
    value = loss(rung.number, rung.plan["N"], rung.plan["D"])
    with transaction.atomic():
        store.append(attempt.run_id, {"eval/loss": Points.of([found.steps], [value], [1.0])})
    end(attempt, Result(values={"wall_time_s": 10.0, "tokens": rung.plan["D"]}))


def begin(run: Run) -> Attempt:
    """Claims exactly this run and starts it with what the training code tells."""
    runs.move(run, 1)
    attempt = scene.claim(scene.worker("ladders"), free=run.gpus)
    assert attempt is not None and attempt.run_id == run.pk
    found: Any = specs.parse(run.spec)
    if run.kind == "pretrain":
        config, plan = cost.config_of(found, {}), cost.plan(found, bf16=False)
        facts = {"task": found.resolved_task, "parameters": plan.parameters, "model": {"config": config}}
        facts |= {"flops": plan.flops, "data": {"tokens": 420_000}}
        runs.started(attempt, facts, {"seed": 0}, 0, run.steps)
    else:
        runs.started(attempt, {}, {"seed": 0}, 0, None)
    return attempt


def end(attempt: Attempt, event: Any) -> None:
    with transaction.atomic():
        batch.end(runs.lock(attempt.pk), event)


def train_all(ladder: Ladder, loss: Callable[[int, float, float], float] = noisy) -> None:
    for rung in ladder.rungs.select_related("run"):
        if rung.run is not None and rung.run.status == "queued":
            train(rung, loss)


def fit(ladder: Ladder, path: Path) -> Run:
    """Looks the fit's points up as the tick does, and makes the queued revision for real."""
    Fit.objects.filter(pk=ladder.fit_id).update(looked_at=None)
    assert actions.keep_current() == 1
    run = Run.objects.filter(kind="scaling_fit", status="queued").latest("id")
    attempt = begin(run)
    folder = path / str(run.pk)
    folder.mkdir()
    for event in work(specs.parse(run.spec), Context(work_dir=folder, cache_dir=folder)):
        if isinstance(event, Left):
            runs.add_artifacts(attempt, [runs.NewArtifact(event.path, blobs.store(folder / event.path), event.kind)])
        if isinstance(event, Result):
            end(attempt, event)
    run.refresh_from_db()
    assert run.status == "succeeded", json.dumps(run.result)
    ladder.refresh_from_db()
    return run
