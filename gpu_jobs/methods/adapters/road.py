"""RoAd: turns and stretches pairs of each layer's outputs.

    h = R W x        R of 2 x 2 blocks alpha [cos t, -sin t; sin t, cos t]

(Liao and Monz 2024). `variant` 1 shares t and alpha within a pair, 2 gives each output its own, 4 each
entry of the block. t begins at 0 and alpha at 1. Pairs lie half a group apart; the group used is the largest even one
that divides all adapted layers' outputs. Linear layers only. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2409.00119"
LR = 1e-3
SHARE = {"road_1": 0.5, "road_2": 1, "road_4": 2}  # values of t, and of alpha, per output


class Knobs(AdapterKnobs):
    name: Literal["road"]
    variant: Literal["road_1", "road_2", "road_4"] = Field("road_1", description="How much of a block is its own.")
    group: int = Field(
        64, ge=2, le=65536, description="Largest size of a group of outputs.", json_schema_extra={"advanced": True}
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """t and alpha of every adapted layer."""
    _group(knobs, anatomy)
    shapes: Shapes = {}
    for layer in anatomy.layers(knobs.targets):
        count = int(SHARE[knobs.variant] * layer.outputs)
        shapes |= {f"{layer.name}.t": (count,), f"{layer.name}.alpha": (count,)}
    return shapes


def _group(knobs: Knobs, anatomy: Anatomy) -> int:
    layers = fits.linear(knobs.name, anatomy, knobs.targets)
    return fits.block(knobs.group, fits.outputs(layers), "group", least=2, step=2)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import RoadConfig

    return RoadConfig(variant=knobs.variant, group_size=_group(knobs, target.anatomy), target_modules=target.pattern)
