"""SVFit: trains the largest singular values of each weight.

    W = U_r diag(sigma) V_r^T + W_e        sigma (r,) is trained; U_r, V_r and the rest W_e are not

(Sun et al. 2024). It begins at the base model exactly, and merging multiplies out. With r the full rank W_e is zero.
There is no public code: the initialisation and which parts are frozen are as the abstract and summaries tell them,
unchecked against the paper's equations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2409.05926"
LR = 1e-2


class Knobs(AdapterKnobs):
    name: Literal["svfit"]
    rank: int = Field(
        64, ge=1, le=65536, description="Singular values that are trained, per weight.", json_schema_extra={"log": True}
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """sigma of every adapted layer: min(r, in, out) values."""
    layers = anatomy.layers(knobs.targets)
    return {f"{layer.name}.sigma": (min(knobs.rank, layer.inputs, layer.outputs),) for layer in layers}


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """U (out, r), V (r, in), and the change of sigma (r,), which begins at zero."""
    import torch

    u, sigma, v = torch.linalg.svd(base.weight.detach().float(), full_matrices=False)
    kept = min(knobs.rank, len(sigma))
    return {
        "U": u[:, :kept].contiguous(),
        "V": v[:kept].contiguous(),
        "start": sigma[:kept].clone(),
        "sigma": torch.nn.Parameter(sigma[:kept].clone()),
    }


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """W x + U diag(sigma - start) V x, which needs no second copy of W."""
    change: Tensor = ((x @ values["V"].T) * (values["sigma"] - values["start"])) @ values["U"].T
    return base(x) + change  # type: ignore[no-any-return]


def lora(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(V, U diag(sigma - start))"""
    return values["V"], values["U"] * (values["sigma"] - values["start"])


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W + U diag(sigma - start) V"""
    return base.weight + (values["U"] * (values["sigma"] - values["start"])) @ values["V"]  # type: ignore[no-any-return]
