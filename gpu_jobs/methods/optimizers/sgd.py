"""SGD: stochastic gradient descent with momentum.

    g = g + decay w
    m = momentum m + g         (m = g in the first update)
    w = w - lr m               or w - lr (g + momentum m) with Nesterov's step

(Sutskever et al. 2013, in torch's form, where the rate stays outside of m). The decay is a part of the gradient, not
apart from it as in AdamW. Only matrices decay: norms and biases, with fewer than two dimensions, do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationInfo, field_validator

from gpu_jobs import registry
from gpu_jobs.shapes import Shape, count

if TYPE_CHECKING:
    from torch import nn, optim

PAPER = "https://proceedings.mlr.press/v28/sutskever13.html"


class Knobs(registry.Knobs):
    name: Literal["sgd"]
    lr: float = Field(0.1, gt=0, le=10, description="Peak learning rate.", json_schema_extra={"log": True})
    momentum: float = Field(0.9, ge=0, lt=1, description="Memory of the gradient; 0: none, and no state.")
    nesterov: bool = Field(False, description="Look ahead along the momentum.")
    weight_decay: float = Field(0.0, ge=0, le=10, description="Pull of matrices towards zero, in the gradient.")

    @field_validator("nesterov")
    @classmethod
    def _needs_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("momentum") == 0:
            raise ValueError("nesterov needs a momentum above 0: it looks ahead along it")
        return nesterov


def build(knobs: Knobs, named_parameters: Iterable[tuple[str, nn.Parameter]]) -> optim.Optimizer:
    """torch's SGD over the trainable parameters, in two groups: with decay and without."""
    import torch

    from gpu_jobs.engine.optimizers import decay_groups

    groups = decay_groups(named_parameters, knobs.weight_decay)
    return torch.optim.SGD(groups, lr=knobs.lr, momentum=knobs.momentum, nesterov=knobs.nesterov)


def state_bytes(knobs: Knobs, shapes: Mapping[str, Shape]) -> int:
    """m in float32, when there is one."""
    return 4 * count(shapes) if knobs.momentum else 0
