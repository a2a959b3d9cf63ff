"""A generic method for the host's tests that needs no matrix: g y, one g for all layers, and a frozen part of it."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from gpu_jobs.anatomy import AdapterKnobs

ANY_LAYER = True


class Knobs(AdapterKnobs):
    name: Literal["scaling"] = "scaling"


def share(knobs: Knobs, bases: list[Any], generator: torch.Generator) -> dict[str, Tensor]:
    return {"g": nn.Parameter(torch.randn((), generator=generator)), "offset": torch.randn((), generator=generator)}


def init(knobs: Knobs, base: Any, generator: torch.Generator, shared: dict[str, Tensor]) -> dict[str, Tensor]:
    return shared


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor], *others: Tensor) -> Tensor:
    return base(x, *others) * (values["g"] + values["offset"])
