"""COSMOS: Adam in the gradient's leading directions, Muon in the others; AdamW for what is no hidden matrix.

    m = b1 m + (1 - b1) g
    P' = Q of b3 P S + (1 - b3) g g^T P                                   (o, r), by QR
    S' = b3 R^T S R + (1 - b3) (P'^T g) (P'^T g)^T      R = P^T P'         (r, r)
    v = b2 v + (1 - b2) (P'^T g)^2                                         (r, i)
    A = P' ((P'^T m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps))
    B = NS5(m - P' P'^T m)
    U = A + ratio sqrt(o i) B / |B|
    w = w - lr (decay w + ratio sqrt(o i) U / |U|)

for a matrix (o, i), with r = min(rank, o, i), NS5 as in Muon, |.| the Frobenius norm, and P at first the leading left
singular vectors of g (Liu et al. 2025). The side of P, that start and the defaults are those of the authors' code; in
the paper P is on the side of the columns. The code keeps only the first P, and no S, from one update to the next, and
takes a decay without applying it: here both are as in the equations. Its split of matrices three times as wide as high
is not made. NS5 makes rounding errors along P about as large as the rest, so they are taken out of B once more; where P
spans all rows there is nothing else in B, and it is left out.

Embeddings and output layers, norms, biases, all weights that have not exactly two dimensions and those of more than
10,000 rows go to AdamW, at lr times rest_factor. A matrix keeps o i + r (o + i + r) values. Unchecked against the
paper: where eps stands.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.errors import MethodError
from gpu_jobs.methods.optimizers import BesideAdamW
from gpu_jobs.shapes import Shape, is_hidden_matrix, size

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

PAPER = "https://arxiv.org/abs/2502.17410"
NEEDS_WHOLE_MATRICES = True
MOST_ROWS = 10_000
EPS = 1e-8


class Knobs(BesideAdamW):
    name: Literal["cosmos"]
    lr: float = Field(1e-3, gt=0, le=10, description="Peak learning rate.", json_schema_extra={"log": True})
    weight_decay: float = Field(0.0, ge=0, le=10, description="Pull of matrices towards zero.")
    rank: int = Field(64, ge=0, le=1024, description="Leading directions that Adam has; 0: none.")
    ratio: float = Field(0.1, gt=0, le=10, description="Size of an update, RMS over lr.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Memory of the gradient.", json_schema_extra={"advanced": True})
    beta2: float = Field(0.96, ge=0, lt=1, description="Memory of its square.", json_schema_extra={"advanced": True})
    beta3: float = Field(
        0.96, ge=0, lt=1, description="Memory of the directions.", json_schema_extra={"advanced": True}
    )


def build(knobs: Knobs, named_parameters: Iterable[tuple[str, nn.Parameter]]) -> optim.Optimizer:
    """The rule over the hidden matrices that are trained, joined with AdamW over the rest."""
    from gpu_jobs.engine.optimizers import Ruled, beside_adamw

    names = ("lr", "weight_decay", "rank", "ratio", "beta1", "beta2", "beta3")
    own = {name: getattr(knobs, name) for name in names}
    return beside_adamw(knobs, named_parameters, is_matrix, lambda matrices: Ruled(matrices, update, **own))


def is_matrix(name: str, shape: Shape) -> bool:
    """Whether the rule is for this weight; AdamW has it otherwise."""
    return is_hidden_matrix(name, shape) and shape[0] <= MOST_ROWS


def state_bytes(knobs: Knobs, shapes: Mapping[str, Shape]) -> int:
    """m, v, P and S of a matrix, two moments of anything else, in float32."""
    return 4 * sum(
        _values(knobs.rank, shape) if is_matrix(name, shape) else 2 * size(shape) for name, shape in shapes.items()
    )


def _values(rank: int, shape: Shape) -> int:
    rows, columns = shape
    rank = min(rank, rows, columns)
    return rows * columns + rank * (rows + columns + rank)


def update(weight: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    """One step of a matrix (o, i)."""
    gradient, lr = weight.grad, group["lr"]
    assert gradient is not None
    if not state:
        state |= _begin(gradient, group["rank"])
    if len(state["inner"]) != min(group["rank"], *weight.shape):
        raise MethodError(f"optimizer.rank must stay what it was: the checkpoint has {len(state['inner'])} directions.")
    state["step"] += 1
    mean = state["mean"].lerp_(gradient, 1 - group["beta1"])
    basis = _turn(state, gradient, group["beta3"])
    scale = group["ratio"] * math.sqrt(weight.numel())
    direction = basis @ _adam(state, basis.T @ gradient, basis.T @ mean, group)
    if basis.shape[1] < weight.shape[0]:
        rest = _muon(mean, basis)
        direction = direction + rest * (scale / (rest.norm() + EPS))
    weight.mul_(1 - lr * group["weight_decay"])
    weight.add_(direction * (scale / (direction.norm() + EPS)), alpha=-lr)


def _begin(gradient: Tensor, rank: int) -> dict[str, Tensor]:
    """The state before the first update, with the leading directions of its gradient as basis."""
    import torch

    rank = min(rank, *gradient.shape)
    return {
        "step": torch.zeros(()),
        "mean": torch.zeros_like(gradient),
        "basis": torch.linalg.svd(gradient, full_matrices=False).U[:, :rank].contiguous(),  # (o, r)
        "inner": gradient.new_zeros(rank, rank),
        "square": gradient.new_zeros(rank, gradient.shape[1]),
    }


def _turn(state: dict[str, Tensor], gradient: Tensor, beta3: float) -> Tensor:
    """The basis (o, r) after this gradient; it and the square (r, r) of what it sees are updated."""
    import torch

    old, inner = state["basis"], state["inner"]
    if state["step"] > 1:
        moved = beta3 * (old @ inner) + (1 - beta3) * (gradient @ (gradient.T @ old))
        state["basis"] = torch.linalg.qr(moved).Q
    turned = old.T @ state["basis"]
    seen = state["basis"].T @ gradient
    state["inner"] = beta3 * (turned.T @ inner @ turned) + (1 - beta3) * (seen @ seen.T)
    return state["basis"]


def _adam(state: dict[str, Tensor], seen: Tensor, mean: Tensor, group: dict[str, Any]) -> Tensor:
    """Adam's direction (r, i) within the basis, from the gradient and the momentum seen in it."""
    step, beta1, beta2 = state["step"].item(), group["beta1"], group["beta2"]
    square = state["square"].mul_(beta2).addcmul_(seen, seen, value=1 - beta2) / (1 - beta2**step)
    direction: Tensor = mean / (1 - beta1**step) / (square.sqrt() + EPS)
    return direction


def _muon(mean: Tensor, basis: Tensor) -> Tensor:
    """Muon's direction (o, i) for what of the momentum is outside the basis."""
    from gpu_jobs.engine.newton_schulz import orthogonalized

    rest = orthogonalized(mean - basis @ (basis.T @ mean)).to(mean.dtype)
    return rest - basis @ (basis.T @ rest)
