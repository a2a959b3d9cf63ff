"""NorMuon: Muon whose rows get rates of their own; AdamW for what is no hidden matrix.

    m = momentum m + (1 - momentum) g
    O = NS5((1 - momentum) g + momentum m)
    v = b2 v + (1 - b2) row means of O^2
    N = O / (sqrt(v) + 1e-10)
    w = w - lr (decay w + sqrt(max(1, o / i)) N |O| / |N|)

for a matrix (o, i), with NS5 as in Muon and |.| the Frobenius norm (Li et al. 2025, and the authors' code, whose scale
sqrt(max(1, o / i)) and defaults lr 0.02, momentum and b2 0.95 and no decay are these). The row step itself runs in
float32 here, in bfloat16 there. Unchecked against the paper: its own scale of an update.

As with Muon, embeddings and output layers, norms, biases and all weights that have not exactly two dimensions go to
AdamW, at lr times rest_factor (0.015 x 0.02 = 3e-4, the code's rate for them). The authors' code flattens convolutions
into matrices; here AdamW has them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.methods.optimizers import BesideAdamW
from gpu_jobs.shapes import Shape, is_hidden_matrix, size

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

PAPER = "https://arxiv.org/abs/2510.05491"
NEEDS_WHOLE_MATRICES = True
EPS = 1e-10


class Knobs(BesideAdamW):
    name: Literal["normuon"]
    lr: float = Field(0.02, gt=0, le=10, description="Peak learning rate.", json_schema_extra={"log": True})
    weight_decay: float = Field(0.0, ge=0, le=10, description="Pull of matrices towards zero.")
    momentum: float = Field(0.95, ge=0, lt=1, description="Memory of the gradient.")
    beta2: float = Field(
        0.95, ge=0, lt=1, description="Memory of the rows' sizes.", json_schema_extra={"advanced": True}
    )
    rest_factor: float = Field(
        0.015,
        gt=0,
        le=1000,
        description="AdamW's rate for embeddings, output layers, norms and biases, times lr.",
        json_schema_extra={"log": True},
    )


def build(knobs: Knobs, named_parameters: Iterable[tuple[str, nn.Parameter]]) -> optim.Optimizer:
    """The rule over the hidden matrices that are trained, joined with AdamW over the rest."""
    from gpu_jobs.engine.optimizers import Ruled, beside_adamw

    own = {name: getattr(knobs, name) for name in ("lr", "weight_decay", "momentum", "beta2")}
    return beside_adamw(knobs, named_parameters, is_hidden_matrix, lambda matrices: Ruled(matrices, update, **own))


def state_bytes(knobs: Knobs, shapes: Mapping[str, Shape]) -> int:
    """m and a number a row of a hidden matrix, two moments of anything else, in float32."""
    return sum(
        4 * (size(shape) + shape[0]) if is_hidden_matrix(name, shape) else 8 * size(shape)
        for name, shape in shapes.items()
    )


def update(weight: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    """One step of a matrix (o, i)."""
    from gpu_jobs.engine.newton_schulz import orthogonalized

    gradient, (rows, columns) = weight.grad, weight.shape
    assert gradient is not None
    if not state:
        state |= {"momentum": gradient.new_zeros(rows, columns), "row_square": gradient.new_zeros(rows, 1)}
    momentum = state["momentum"].lerp_(gradient, 1 - group["momentum"])
    direction = orthogonalized(gradient.lerp(momentum, group["momentum"])).to(weight.dtype)
    direction = by_rows(direction, state["row_square"], group["beta2"])
    weight.mul_(1 - group["lr"] * group["weight_decay"])
    weight.add_(direction, alpha=-group["lr"] * math.sqrt(max(1, rows / columns)))


def by_rows(direction: Tensor, row_square: Tensor, beta2: float) -> Tensor:
    """The direction (o, i), each row divided by its size of late, at its old norm; `row_square` (o, 1) is updated."""
    row_square.lerp_(direction.square().mean(1, keepdim=True), 1 - beta2)
    scaled: Tensor = direction / (row_square.sqrt() + EPS)
    return scaled.mul_(direction.norm() / (scaled.norm() + EPS))
