"""BOFT: a block-diagonal rotation of each layer's inputs, with a trained scale per output.

    h = diag(s) W R x        R block-diagonal, each block (I + Q)(I - Q)^-1 with Q skew-symmetric

(Liu et al. 2023, with one butterfly factor). More factors, which mix the blocks, need a CUDA extension that
HF PEFT compiles for itself, and without it PEFT takes one factor in silence: so there is no knob for them. R begins at
the identity and s at 1. The block used is the largest that divides all adapted layers' inputs. Linear layers only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2311.06243"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["boft"]
    block: int = Field(
        4, ge=2, le=1024, description="Largest side of a block of the rotation.", json_schema_extra={"log": True}
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Probability of leaving a block as it was.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A square matrix per block, and a scale per output, of every adapted layer."""
    layers, shapes = fits.linear(knobs.name, anatomy, knobs.targets), Shapes()
    side = fits.block(knobs.block, fits.inputs(layers), "block", least=2)
    for layer in layers:
        shapes[f"{layer.name}.R"] = (1, layer.inputs // side, side, side)
        shapes[f"{layer.name}.s"] = (layer.outputs, 1)
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model. Raises MethodError where no block fits."""
    from peft import BOFTConfig

    layers = fits.linear(knobs.name, target.anatomy, knobs.targets)
    return BOFTConfig(
        boft_block_size=fits.block(knobs.block, fits.inputs(layers), "block", least=2),
        boft_dropout=knobs.dropout,
        target_modules=target.pattern,
    )
