"""C3A: adds a block-circular convolution to each layer.

    h = W x + C x        C (out, in) in blocks of side b, each circulant: b numbers for b^2 entries

(Chen et al. 2024). The kernels begin random, so that training does not begin at the base model (`zero`
begins there). The block used is the largest that divides both sides of all adapted layers. Linear layers only.
Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2407.19342"
LR = 1e-1
STARTS_AT_BASE = False


class Knobs(AdapterKnobs):
    name: Literal["c3a"]
    block: int = Field(
        256, ge=1, le=65536, description="Largest side of a circulant block.", json_schema_extra={"log": True}
    )
    start: Literal["xavier_uniform", "kaiming_uniform", "gaussian", "zero"] = Field(
        "xavier_uniform", description="What the kernels begin as."
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The kernels of every adapted layer."""
    side, layers = _side(knobs, anatomy), anatomy.layers(knobs.targets)
    return {f"{layer.name}.c": (layer.outputs // side, layer.inputs // side, side) for layer in layers}


def _side(knobs: Knobs, anatomy: Anatomy) -> int:
    layers = fits.linear(knobs.name, anatomy, knobs.targets)
    return fits.block(knobs.block, fits.inputs(layers) + fits.outputs(layers), "block")


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import C3AConfig

    return C3AConfig(
        block_size=_side(knobs, target.anatomy),
        init_weights=True if knobs.start == "zero" else knobs.start,
        target_modules=target.pattern,
    )
