"""Criteria that learn: put on a tiny model, as jobs that go step by step, and as whole runs that can be paused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

import gpu_jobs
from gpu_jobs import spec as specs
from gpu_jobs.engine.adapters import host
from gpu_jobs.engine.job import Job, prepare
from gpu_jobs.engine.pruning import layers, structured
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.engine.shrinking import Change
from tests.gpu_jobs.engine.test_pruning import batches, tiny
from tests.gpu_jobs.methods.criteria.scene import knobs, module
from tests.gpu_jobs.methods.strategies.jobs import asked
from tests.gpu_jobs.training import TINY, Bench, Outcome

LEARNING = {"steps": 6, "batch_size": 4, "checkpoint_every": 2, "optimizer": {"name": "adamw", "lr": 1e-2}}


def put(name: str, kind: str = "llama", **settings: Any) -> tuple[Any, dict[str, host.AdaptedLayer]]:
    """The model with the criterion's values on its layers."""
    model = tiny(kind)
    module(name).setup(knobs(name, **settings), model, layers.find(model, "all", 0))
    return model, host.adapted(model)


def job(bench: Bench, name: str, settings: dict[str, Any], **changes: Any) -> Job:
    """A job whose hooks are the criterion's."""

    def wrap(hooks: Any) -> Any:
        own = knobs(name, **settings)
        found = layers.find(hooks.model, "all", 0)
        return module(name).Hooks(own, module(name).setup(own, hooks.model, found), hooks.spec)

    return prepare(asked("full", changes), bench.context(), ALONE, wrap=wrap)


def learned(
    bench: Bench, base: Outcome, method: dict[str, Any], changes: dict[str, Any] | None = None, **options: Any
) -> Outcome:
    """The pruning of a run's model as a job."""
    wanted = {
        "kind": "prune", "model": {"source": "run", "run": 7}, "data": TINY["data"], "sequence_length": 16,
        "batch_size": 4, "eval_batches": 1, "calibration": {"samples": 8}, "method": method, "learning": LEARNING,
    }  # fmt: skip
    context = bench.context(inputs={"run:7": base.work_dir / "model"}, **options)
    return Outcome(list(gpu_jobs.run(specs.parse(wanted | (changes or {})), context)), context.work_dir)


def logits(model: Any) -> torch.Tensor:
    """Of some tokens."""
    with torch.no_grad():
        found: torch.Tensor = model.eval()(**batches()[0]).logits
    return found


def shrunk(model: Any, units: structured.Units) -> Any:
    """The model without the other units."""
    structured.remove(SimpleNamespace(bare=model), units, Change())  # type: ignore[arg-type]
    return model
