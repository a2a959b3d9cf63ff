"""The model as the run found it, for objectives that hold the trained one to it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpu_jobs.anatomy import adapter_of
from gpu_jobs.engine import adapters

if TYPE_CHECKING:
    from gpu_jobs.engine.job import Job


class Reference:
    """Under an adapter the base serves, with the adapter switched off; otherwise a frozen copy is kept."""

    def __init__(self, job: Job) -> None:
        """Call it before a checkpoint is read: the weights must be those that the run began with."""
        self._bare = job.bare
        self._copy: Any = None
        if adapter_of(job.spec.method) is None or not adapters.can_switch_off(job.bare):
            self._copy = copy.deepcopy(job.bare).requires_grad_(False).eval()

    def of(self, compute: Callable[[Any], Tensor]) -> Tensor:
        """What `compute` makes of the reference, without gradients and without dropout."""
        with torch.no_grad():
            if self._copy is not None:
                return compute(self._copy)
            with _still(self._bare), adapters.switched_off(self._bare):
                return compute(self._bare)


@contextmanager
def _still(model: Any) -> Iterator[None]:
    was = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was)
