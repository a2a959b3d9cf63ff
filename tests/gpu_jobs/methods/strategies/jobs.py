"""Jobs that are ready to train, step by step, for the tests of strategies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from gpu_jobs import cost, spec
from gpu_jobs.engine import optim
from gpu_jobs.engine.job import Job, prepare
from gpu_jobs.engine.loop import update
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.spec import Training
from tests.gpu_jobs.training import TINY, Bench

SIZES = {"source": "config", "layers": 4, "width": 16, "heads": 2, "context": 32}


def asked(method: Any, changes: dict[str, Any]) -> Training:
    """A llama of four blocks, unless the changes say otherwise, at a constant rate."""
    model = {**SIZES, "architecture": "llama", **changes.pop("model", {})}
    data = {"kind": "finetune", "model": model, "schedule": {"name": "constant"}, "steps": 100, "checkpoint_every": 0}
    method = {"name": method} if isinstance(method, str) else method
    parsed = spec.parse({**TINY, **data, "method": method, **changes})
    assert isinstance(parsed, Training)
    return parsed


def job(bench: Bench, method: Any, **changes: Any) -> Job:
    return prepare(asked(method, changes), bench.context(), ALONE)


def step(job: Job, number: int = 0) -> Tensor:
    """One update: what the loop does in one turn."""
    rate = optim.set_rate(job.spec, job.optimizer, number)
    values = update(job, number, rate)
    job.progress.step = number + 1
    return values


def weights(job: Job) -> dict[str, Tensor]:
    """A copy of every weight."""
    return {name: value.detach().clone() for name, value in job.bare.named_parameters()}


def moved(job: Job, before: dict[str, Tensor]) -> set[str]:
    """The weights that are no longer what they were."""
    return {name for name, value in job.bare.named_parameters() if not value.equal(before[name])}


def state_tensors(job: Job) -> Iterator[Tensor]:
    """What the optimizer keeps, but for its counters."""
    for state in job.optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, torch.Tensor) and value.ndim)


def state_bytes(job: Job) -> int:
    return sum(value.nbytes for value in state_tensors(job))


def planned(job: Job, part: str = "optimizer") -> int:
    """Bytes of this part by the plan."""
    found = cost.plan(job.spec, bf16=False).memory[part]
    assert found is not None
    return found


def flops(method: Any, **changes: Any) -> int:
    """FLOPs of a step by the plan."""
    found = cost.plan(asked(method, changes), bf16=False).flops["per_step"]
    assert isinstance(found, int)
    return found
