"""FLoRA: the update of a weight as a small core between one factor for each of its dimensions.

    linear         W + s U1 G U2^T                          G (c, c),       U1 (out, c), U2 (in, c)
    convolution    W + s G x1 U1 x2 U2 x3 U3 x4 U4          G (c, c, k, k), a factor for each dimension

(Si et al. 2024, low-rank adaptation by Tucker decomposition, for dimensions of any number). G begins at zero and the
factors at random, so that training begins at the base model. A core is never larger than the dimension. With G the
identity the linear case is LoRA. Unchecked against the paper: the beginning, and that s is a plain factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shape, Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2405.14739"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["flora_tucker"]
    core: int = Field(8, ge=1, le=1024, description="Size c of the core.", json_schema_extra={"log": True})
    scale: float = Field(1.0, ge=1e-3, le=100, description="Factor s of the update.", json_schema_extra={"log": True})


def shapes(knobs: Knobs, dimensions: Shape) -> Shapes:
    """Of the core and of each dimension's factor."""
    core = tuple(min(knobs.core, size) for size in dimensions)
    factors = {f"U{number + 1}": (size, core[number]) for number, size in enumerate(dimensions)}
    return {"G": core, **factors}


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """Core and factors of every adapted layer."""
    found: Shapes = {}
    for layer in anatomy.layers(knobs.targets):
        stored = anatomy.shapes[f"{layer.name}.weight"]
        dimensions = stored if len(stored) > 2 else (layer.outputs, layer.inputs)
        found |= {f"{layer.name}.{key}": shape for key, shape in shapes(knobs, dimensions).items()}
    return found


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """G zero, and the factors (size, c) with entries of the order of 1 / sqrt(c)."""
    import torch

    from gpu_jobs.engine.adapters.lowrank import kaiming

    stored = base.plain.weight
    dimensions = tuple(stored.shape if stored.ndim > 2 else base.weight.shape)
    wanted = shapes(knobs, dimensions)
    factors = {name: kaiming(*shape, generator=generator) for name, shape in wanted.items() if name != "G"}
    return {"G": torch.nn.Parameter(torch.zeros(wanted["G"])), **factors}


def change(knobs: Knobs, values: dict[str, Tensor]) -> Tensor:
    """s G times each factor along its dimension, in the weight's own dimensions."""
    import torch

    found = values["G"]
    for number in range(values["G"].ndim):
        found = torch.tensordot(found, values[f"U{number + 1}"], dims=([0], [1]))  # the new dimension comes last
    return knobs.scale * found


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W + s G x1 U1 x2 U2 ..."""
    return base.weight + change(knobs, values).flatten(1)  # type: ignore[no-any-return]


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """W x + s U1 G U2^T x, from right to left; of linear layers."""
    return base(x) + knobs.scale * (x @ values["U2"] @ values["G"].T @ values["U1"].T)  # type: ignore[no-any-return]
