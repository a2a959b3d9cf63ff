"""Adafactor: the second moment of a matrix kept as one number a row and one a column.

    b2 = 1 - t^c,   rho = min(lr, 1 / sqrt(t)),   alpha = max(least, RMS(w)) rho
    R = b2 R + (1 - b2) row means of g^2          C likewise of the columns
    V = R C / mean(R)                             of a vector: V = b2 V + (1 - b2) g^2
    U = g / sqrt(V)
    w = w - lr decay w - alpha U / max(1, RMS(U) / d)

(Shazeer and Stern 2018, algorithms 4 to 6, in torch's form: lr caps the relative step rho, 0.01 in the paper, so that a
schedule moves the cap). There is no momentum. A matrix (o, i) keeps o + i values; a weight of more dimensions one for
each row and column of its last two; a vector all. Only matrices decay. torch waits for the GPU twice for each weight,
to read RMS(w) and RMS(U).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.shapes import Shape, size

if TYPE_CHECKING:
    from torch import nn, optim

PAPER = "https://arxiv.org/abs/1804.04235"
NEEDS_WHOLE_MATRICES = True


class Knobs(registry.Knobs):
    name: Literal["adafactor"]
    lr: float = Field(
        1e-2, gt=0, le=10, description="Largest step, relative to a weight's size.", json_schema_extra={"log": True}
    )
    weight_decay: float = Field(0.0, ge=0, le=10, description="Pull of matrices towards zero.")
    beta2_decay: float = Field(
        -0.8,
        ge=-1,
        le=0,
        description="Power c of t with which the second moment forgets less and less.",
        json_schema_extra={"advanced": True},
    )
    least_rms: float = Field(
        1e-3,
        gt=0,
        le=1,
        description="Size that a smaller weight is taken to have.",
        json_schema_extra={"advanced": True, "log": True},
    )
    clip: float = Field(
        1.0, ge=1, le=1000, description="Longest update d, as RMS.", json_schema_extra={"advanced": True, "log": True}
    )


def build(knobs: Knobs, named_parameters: Iterable[tuple[str, nn.Parameter]]) -> optim.Optimizer:
    """torch's Adafactor over the trainable parameters, in two groups: with decay and without."""
    import torch

    from gpu_jobs.engine.optimizers import decay_groups

    return torch.optim.Adafactor(
        decay_groups(named_parameters, knobs.weight_decay),
        lr=knobs.lr,
        beta2_decay=knobs.beta2_decay,
        eps=(None, knobs.least_rms),
        d=knobs.clip,
    )


def state_bytes(knobs: Knobs, shapes: Mapping[str, Shape]) -> int:
    """A row and a column of each matrix, and vectors whole, in float32."""
    return 4 * sum(_values(shape) for shape in shapes.values())


def _values(shape: Shape) -> int:
    if len(shape) < 2:
        return size(shape)
    return size(shape[:-1]) + size((*shape[:-2], shape[-1]))
