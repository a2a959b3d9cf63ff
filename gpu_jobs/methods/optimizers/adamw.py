"""AdamW: Adam with weight decay apart from the gradient.

    m = b1 m + (1 - b1) g
    v = b2 v + (1 - b2) g^2
    w = w - lr (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + decay w)

(Loshchilov and Hutter 2019, algorithm 2). Only matrices decay: norms and biases, with fewer than two dimensions, do
not. The fused kernel of torch is used where the device has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.shapes import Shape, count

if TYPE_CHECKING:
    from torch import nn, optim

PAPER = "https://arxiv.org/abs/1711.05101"


class Knobs(registry.Knobs):
    name: Literal["adamw"]
    lr: float = Field(1e-3, gt=0, le=10, description="Peak learning rate.", json_schema_extra={"log": True})
    weight_decay: float = Field(0.01, ge=0, le=10, description="Pull of matrices towards zero; 0.1 for pretraining.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Memory of the gradient.", json_schema_extra={"advanced": True})
    beta2: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Memory of its square; 0.95 for pretraining.",
        json_schema_extra={"advanced": True},
    )
    eps: float = Field(
        1e-8,
        gt=0,
        le=1,
        description="Keeps the division finite.",
        json_schema_extra={"advanced": True, "log": True},
    )


def build(knobs: Knobs, named_parameters: Iterable[tuple[str, nn.Parameter]]) -> optim.Optimizer:
    """torch's AdamW over the trainable parameters, in two groups: with decay and without."""
    import torch

    from gpu_jobs.engine.optimizers import decay_groups

    return torch.optim.AdamW(
        decay_groups(named_parameters, knobs.weight_decay),
        lr=knobs.lr,
        betas=(knobs.beta1, knobs.beta2),
        eps=knobs.eps,
        fused=True,
    )


def state_bytes(knobs: Knobs, shapes: Mapping[str, Shape]) -> int:
    """m and v in float32."""
    return 8 * count(shapes)
