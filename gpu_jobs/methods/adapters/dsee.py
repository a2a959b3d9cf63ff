"""DSEE: a low-rank update and a few entries of the weight beside it.

    h = (W + (alpha / r) B A + S) x        S has `entries` trained values, at fixed places, and is zero elsewhere

(Chen et al. 2021, dually sparsity-embedded tuning; on the query and value matrices there). A is random, B and S begin
at zero, so that training begins at the base model. The places are those where W differs most from its best
approximation of rank r: the authors find low-rank and sparse part together by another decomposition. Pruning and
retraining afterwards, the second half of the method, is left to the jobs that do that; merging does not keep zeros of
W, see `mask_lora`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.methods.adapters.lora import lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2111.00160"
LR = 5e-4


class Knobs(AdapterKnobs):
    name: Literal["dsee"]
    rank: int = Field(16, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    entries: int = Field(16, ge=1, le=1_000_000, description="Single weights trained, per matrix.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A, B and the entries of every adapted layer."""
    sparse = {
        f"{layer.name}.S": (min(knobs.entries, layer.inputs * layer.outputs),)
        for layer in anatomy.layers(knobs.targets)
    }
    return lowrank(knobs.rank, anatomy, knobs.targets) | sparse


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """A, B, the values S (entries,), and their places in the flattened weight."""
    import torch

    from gpu_jobs.engine.adapters.lowrank import factors

    places = far(base.weight.detach().float(), knobs.rank, knobs.entries)
    return {
        **factors(knobs.rank, base, generator),
        "S": torch.nn.Parameter(torch.zeros(len(places))),
        "places": places,
    }


def far(weight: Tensor, rank: int, entries: int) -> Tensor:
    """Where the weight is farthest from its best approximation of this rank, in order of place."""
    import torch

    u, sigma, v = torch.linalg.svd(weight, full_matrices=False)
    rest = (weight - (u[:, :rank] * sigma[:rank]) @ v[:rank]).abs().flatten()
    places: Tensor = rest.topk(min(entries, rest.numel())).indices.sort().values
    return places


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """W x + s B A x + S x: each entry adds its product of one input to one output."""
    y = base(x) + knobs.alpha / knobs.rank * (x @ values["A"].T @ values["B"].T)
    rows, columns = values["places"] // base.inputs, values["places"] % base.inputs
    products = (x[..., columns] * values["S"]).to(y.dtype)
    return y.index_add(-1, rows, products)  # type: ignore[no-any-return]


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W + s B A + S"""
    merged = base.weight + knobs.alpha / knobs.rank * (values["B"] @ values["A"])
    flat = merged.flatten().index_add(0, values["places"], values["S"].to(merged.dtype))
    return flat.view_as(merged)  # type: ignore[no-any-return]
