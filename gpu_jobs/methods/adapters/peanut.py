"""PEANuT: an update that a small network computes from the weight itself.

    W' = W + scale B f(... f(A W))        A (r, out), B (out, r), f a non-linearity

(Zhong et al. 2024): the update is a non-linear function of W of inner width r, with `depth` more pairs of r x r layers
between. B begins at zero. Linear layers only. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2410.01870"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["peanut"]
    rank: int = Field(32, ge=1, le=4096, description="Inner width r of the network.", json_schema_extra={"log": True})
    depth: int = Field(0, ge=0, le=16, description="Pairs of r x r layers between the first and the last.")
    activation: Literal["relu", "gelu", "silu", "tanh"] = Field("relu", description="The non-linearity f.")
    scale: float = Field(1.0, gt=0, le=1000, description="Factor of the update.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The network of every adapted layer."""
    shapes: Shapes = {}
    for layer in fits.linear(knobs.name, anatomy, knobs.targets):
        shapes[f"{layer.name}.A"] = (knobs.rank, layer.outputs)
        shapes[f"{layer.name}.B"] = (layer.outputs, knobs.rank)
        shapes |= {f"{layer.name}.{n}": (knobs.rank, knobs.rank) for n in range(2 * knobs.depth)}
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import PeanutConfig

    sizes(knobs, target.anatomy)
    return PeanutConfig(
        r=knobs.rank,
        depth=knobs.depth,
        act_fn=knobs.activation,
        scaling=knobs.scale,
        target_modules=target.pattern,
    )
