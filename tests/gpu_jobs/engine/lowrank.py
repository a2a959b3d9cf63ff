"""A generic method for the host's tests: W + B A, random on both sides so that it changes what a layer computes."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from gpu_jobs.anatomy import AdapterKnobs


class Knobs(AdapterKnobs):
    name: Literal["lowrank"] = "lowrank"
    rank: int = 2


def init(knobs: Knobs, base: Any, generator: torch.Generator, shared: Any) -> dict[str, Tensor]:
    return {
        "A": nn.Parameter(torch.randn(knobs.rank, base.inputs, generator=generator) * 0.2),
        "B": nn.Parameter(torch.randn(base.outputs, knobs.rank, generator=generator) * 0.2),
    }


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    return base(x) + x @ values["A"].T @ values["B"].T


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    return base.weight + values["B"] @ values["A"]
