"""Runs that have succeeded, whose losses lie on a law, and fits of them; brought about by the real actions."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django.db import transaction

import gpu_jobs
from gpu_jobs import cost
from gpu_jobs import spec as specs
from gpu_jobs.context import Context
from gpu_jobs.events import Artifact, Result
from tests.runs import scene as runs
from webapp.accounts.models import Project
from webapp.metrics import actions as metrics
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs import actions
from webapp.runs.models import Run
from webapp.scaling import actions as fits
from webapp.scaling.models import Fit, Revision
from workers import batch

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
SIZES = (1e6, 4e6, 1.6e7)
TOKENS = (1e7, 4e7, 1.6e8)


def truth(N: float, D: float) -> float:  # noqa: N803 - the law's own names
    """Chinchilla's law with TRUTH."""
    return TRUTH["E"] + TRUTH["A"] * N ** -TRUTH["alpha"] + TRUTH["B"] * D ** -TRUTH["beta"]


def fit(**changes: Any) -> dict[str, Any]:
    """A spec of a fit to the runs with the tag "ladder"."""
    return {
        "kind": "scaling_fit",
        "law": {"name": "chinchilla"},
        "points": {"source": "runs", "query": "ladder", **changes.pop("points", {})},
        "bootstrap": {"resamples": 0},
        "polish": 2,
        **changes,
    }


def trained(
    spec: dict[str, Any], loss: float, tags: tuple[str, ...] = ("ladder",), where: Project | None = None
) -> Run:
    """A run that a worker has trained: what it said is what training says, its loss is given."""
    run = runs.submit(where, spec=spec, tags=tags)
    actions.move(run, 1)
    attempt = runs.claim(runs.worker("trainer"), free=run.gpus)
    assert attempt is not None and attempt.run_id == run.pk
    parsed: Any = specs.parse(run.spec)
    config = cost.config_of(parsed, {})
    plan = cost.plan(parsed, bf16=False)
    facts = {
        "task": parsed.resolved_task,
        "parameters": plan.parameters,
        "model": {"config": config},
        "data": {"name": "language-reference"},
        "flops": plan.flops,
        "tokens_per_sample": cost.tokens_per_sample(parsed, config),
    }
    actions.started(attempt, facts, {}, 0, run.steps)
    with transaction.atomic():
        store.append(run.pk, {"eval/loss": Points.of([1, parsed.steps], [loss + 1, loss], [1.0, 2.0]),
                              "train/loss": Points.of([1, parsed.steps], [9.0, loss - 0.1], [1.0, 2.0])})  # fmt: skip
    with transaction.atomic():
        result = {"tokens": plan.tokens, "wall_time_s": 7200.0, "quality": {"eval/loss": loss}}
        batch.end(actions.lock(attempt.pk), Result(values=result))
    run.refresh_from_db()
    return run


def outside(N: float, D: float, loss: float | None = None, **config: Any) -> Run:  # noqa: N803
    """A run from outside with the tag "ladder", which tells N and D in its configuration; its loss lies on the law."""
    where = config.pop("where", None) or runs.project()
    spec = {"N": N, "D": D, **config}
    run = actions.create_external(project=where, user=runs.person(), name="outside", tags=["ladder"], spec=spec)
    last = truth(N, D) if loss is None else loss
    metrics.log_external(run, {"eval/loss": {"step": [1, 2], "value": [last + 1, last], "time": [1.0, 2.0]}})
    return actions.finish_external(run, "succeeded", result={"score": {"accuracy": 0.5}})


def grid(where: Project | None = None) -> list[Run]:
    """Nine runs from outside on a grid of sizes and tokens."""
    return [outside(size, tokens, where=where) for size in SIZES for tokens in TOKENS]


def create_fit(**fields: Any) -> Fit:
    about = {"project": runs.project(), "user": runs.person(), "spec": fit(), **fields}
    return fits.create_fit(**about)


def fitted(revision: Revision | None) -> Revision:
    """Its run, done by the real job as a worker would do it."""
    assert revision is not None
    actions.move(revision.run, 1)
    attempt = runs.claim(runs.worker("fitter"))
    assert attempt is not None and attempt.run_id == revision.run_id
    with tempfile.TemporaryDirectory() as folder:
        context = Context(work_dir=Path(folder), cache_dir=Path(folder))
        events = list(gpu_jobs.run(specs.parse(attempt.run.spec), context))
    with transaction.atomic():
        batch.write(actions.lock(attempt.pk), [event for event in events if not isinstance(event, Artifact | Result)])
    with transaction.atomic():
        batch.end(actions.lock(attempt.pk), events[-1])
    return Revision.objects.select_related("run").get(pk=revision.pk)
