"""SparseGPT: weights go column by column, and those to the right make up for it.

    S_ij = w_ij^2 / [H^-1]_jj^2,  then  w_i,j: -= (w_ij / [H^-1]_jj) [H^-1]_j,j:  for each w_ij that goes

(Frantar and Alistarh 2023: optimal brain surgeon with one order of columns for all rows.) H = X X^T of the calibration
inputs, dampened by a share of its mean diagonal; [H^-1]_j is row j of the upper Cholesky factor of H^-1, which is the
inverse of what is left of H at column j. The mask is chosen for 128 columns at a time, or of n:m for each m, from the
weights as they are by then. Inputs that are always zero take their weights with them, and what was zero before goes
first, whatever it would have to make up for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs.errors import MethodError
from gpu_jobs.prunable import PruningKnobs, nm

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_jobs.engine.pruning.layers import Layer

PAPER = "https://arxiv.org/abs/2301.00774"
NEEDS = "hessian"
SCOPE = "matrix"
PATTERNS = ("unstructured", "2:4", "4:8", "1:4")


class Knobs(PruningKnobs):
    name: Literal["obs_sparsegpt"]
    dampening: float = Field(
        0.01, gt=0, le=10, description="Share of H's mean diagonal that is added to it.",
        json_schema_extra={"log": True, "advanced": True},
    )  # fmt: skip
    columns: int = Field(
        128, ge=8, le=65_536, multiple_of=8, description="Columns for which a mask is chosen at a time.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip


def score(knobs: Knobs, layer: Layer) -> Tensor:
    """w^2 / [H^-1]_jj^2 of the weights as they are, (out, in): where each is judged by itself"""
    return (layer.weight / factor(knobs, layer.hessian).diagonal()).square()


def factor(knobs: Knobs, hessian: Tensor) -> Tensor:
    """The upper Cholesky factor of the inverse of the dampened Hessian, (in, in). Raises MethodError without one."""
    import torch

    h = hessian.clone()
    dead = h.diagonal() == 0
    h.diagonal()[dead] = 1
    h.diagonal().add_(knobs.dampening * h.diagonal().mean())
    found, failed = torch.linalg.cholesky_ex(h)
    if not failed:
        found, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(found), upper=True)
    if failed:
        raise MethodError(
            f"method.dampening is too low for these inputs, whose X X^T has no inverse: {knobs.dampening:g}; raise it, "
            "or calibration.samples."
        )
    return found  # type: ignore[no-any-return]


def update(knobs: Knobs, layer: Layer, choose: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """(weight, mask), (out, in) each: the weights that stay are changed. Raises MethodError as `factor` does."""
    weight, up = layer.weight.clone(), factor(knobs, layer.hessian)
    weight[:, layer.hessian.diagonal() == 0] = 0
    mask = weight != 0  # at first what is there; then what is kept
    width = weight.shape[1]
    for start in range(0, width, knobs.columns):
        end = min(start + knobs.columns, width)
        errors = _columns(knobs, weight[:, start:end], mask[:, start:end], up[start:end, start:end], choose)
        weight[:, end:] -= errors @ up[start:end, end:]
    return weight, mask


def _columns(knobs: Knobs, weight: Tensor, mask: Tensor, up: Tensor, choose: Callable[[Tensor], Tensor]) -> Tensor:
    """Prunes these columns in place; the errors (out, columns) are for those to the right of them."""
    import torch

    kept, columns, scale = nm(knobs.pattern), weight.T.contiguous(), up.diagonal()[:, None]  # a column is in one piece
    stays, errors = mask.T.contiguous(), torch.zeros_like(columns)
    size = kept.m if kept else len(columns)
    for j in range(len(columns)):
        if j % size == 0:
            part = slice(j, j + size)
            scores = (columns[part] / scale[part]).square().masked_fill_(~stays[part], -torch.inf)
            stays[part] = choose(scores.T).T
        errors[j] = columns[j] * ~stays[j] / up[j, j]
        columns[j:].addr_(up[j, j:], errors[j], alpha=-1)
    weight.copy_((columns * stays).T)
    mask.copy_(stays.T)
    return errors.T
