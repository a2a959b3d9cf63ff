"""A model, the data it is judged on, and where: what evaluation needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gpu_jobs.context import Context
from gpu_jobs.contracts import Objective
from gpu_jobs.engine import precision
from gpu_jobs.engine.data import Data
from gpu_jobs.engine.objective import Batch
from gpu_jobs.engine.ranks import Ranks


@dataclass
class Judged:
    """`model` is called; `bare` is the same without what shares it over ranks: names, saving, writing text."""

    spec: Any  # spec.Training, or that of kind evaluate
    context: Context
    ranks: Ranks
    device: torch.device
    bf16: bool
    data: Data
    retention: Data | None  # the second data set
    bare: Any
    model: nn.Module
    objective: Objective

    def to_device(self, batch: Batch) -> Batch:
        """The batch where the model is; on a GPU the copy runs beside the computation."""
        if self.device.type == "cpu":
            return batch
        return {name: value.pin_memory().to(self.device, non_blocking=True) for name, value in batch.items()}

    def autocast(self) -> Any:
        """The block in which the model is called."""
        return precision.autocast(self.device, bf16=self.bf16)
