"""Real runs in Postgres that ended with what a test says they measured."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from django.db import transaction

from gpu_jobs.events import Failed, Result
from tests.runs import scene as runs
from tests.sweeps import scene as sweeps
from webapp.accounts.models import Project, User
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs import actions
from webapp.runs.models import Attempt, Run

TOTAL = 1_000_000
FULL = {"name": "full"}


def lora(rank: int) -> dict[str, Any]:
    return {"name": "lora", "rank": rank}


def queued(project: Project, user: User, method: dict[str, Any], seed: int = 0, **changes: Any) -> Run:
    spec = {**runs.SPEC, **changes, "seed": seed, "method": method}
    return runs.submit(project, user=user, spec=spec)


def begun(run: Run, trainable: int = TOTAL) -> Attempt:
    actions.move(run, 1)
    attempt = runs.claim(runs.worker("compare"), free=run.gpus)
    assert attempt is not None and attempt.run_id == run.pk
    facts = {"parameters": {"total": TOTAL, "trainable": trainable}, "task": "causal_lm"}
    actions.started(attempt, facts, {"seed": run.spec["seed"]}, 0, run.steps)
    return attempt


@transaction.atomic
def logged(run: Run, name: str, *values: float) -> None:
    steps = range(1, len(values) + 1)
    store.append(run.pk, {name: Points.of(steps, values, [float(step) for step in steps])})


def ended(run: Run, loss: float, trainable: int = TOTAL, **result: Any) -> Run:
    """Succeeded; its last eval/loss is `loss`, after one at the start."""
    attempt = begun(run, trainable)
    with tempfile.TemporaryDirectory() as folder:
        runs.model(attempt, Path(folder))
    logged(run, "eval/loss", loss + 1, loss)
    values = {"wall_time_s": 60.0, "stored_bytes": 4 * trainable, "memory": {"peak_bytes": 8 * TOTAL + trainable}}
    values |= {"flops": {"total": 1e12}, "tokens": 1600, "speed": {"tokens_per_second": 400.0}, **result}
    sweeps.end(attempt, Result(values=values))
    Run.objects.filter(pk=run.pk).update(step=run.steps)
    run.refresh_from_db()
    return run


def lost(run: Run, outcome: str = "out_of_memory") -> Run:
    sweeps.end(begun(run), Failed(outcome=outcome, error="SomeError", message="It broke."))
    run.refresh_from_db()
    return run


class Study(NamedTuple):
    """A base, and three ways to train it further; the third lost a run to the memory."""

    base: Run
    full: list[Run]
    small: list[Run]
    large: list[Run]

    @property
    def numbers(self) -> str:
        return ",".join(str(run.pk) for run in (*self.full, *self.small, *self.large))


def study(project: Project, user: User) -> Study:
    """Full fine-tuning 1.50, lora of rank 4 about the same at a hundredth of the weights, of rank 2 clearly worse."""
    base = ended(queued(project, user, FULL, eval_batches=5), 2.5)

    def tuned(method: dict[str, Any], seed: int) -> Run:
        source = {"source": "run", "run": base.pk}
        return queued(project, user, method, seed, kind="finetune", model=source, eval_batches=5)

    full = [ended(tuned(FULL, seed), loss) for seed, loss in enumerate((1.49, 1.50, 1.51))]
    small = [
        ended(tuned(lora(2), seed), loss, TOTAL // 200, wall_time_s=30.0) for seed, loss in enumerate((1.68, 1.72, 1.7))
    ]
    large = [
        ended(tuned(lora(4), seed), loss, TOTAL // 100, wall_time_s=40.0)
        for seed, loss in enumerate((1.52, 1.47, 1.53))
    ]
    return Study(base, full, small, [*large, lost(tuned(lora(4), 3))])
