"""BOFT: a rotation of each layer's inputs as a product of butterfly factors, with a trained scale per output.

    h = diag(s) W R_m ... R_1 x        each R_j block-diagonal up to a permutation, by the Cayley transform

(Liu et al. 2023, section 4). One factor is OFT's block-diagonal rotation; more mix the blocks. The rotation begins at
the identity and s at 1. The block used is the largest that divides the inputs of all adapted layers; with m factors,
even and 2^(m-1) of it must fit. Linear layers only. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.errors import MethodError
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
    factors: int = Field(1, ge=1, le=10, description="Butterfly factors m.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Probability of leaving a block as it was.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A square matrix per block and factor, and a scale per output, of every adapted layer."""
    side, shapes = _side(knobs, anatomy), Shapes()
    for layer in fits.linear(knobs.name, anatomy, knobs.targets):
        shapes[f"{layer.name}.R"] = (knobs.factors, layer.inputs // side, side, side)
        shapes[f"{layer.name}.s"] = (layer.outputs, 1)
    return shapes


def _side(knobs: Knobs, anatomy: Anatomy) -> int:
    """The side of a block. Raises MethodError where no block fits that often."""
    layers = fits.linear(knobs.name, anatomy, knobs.targets)
    if knobs.factors == 1:
        return fits.block(knobs.block, fits.inputs(layers), "block", least=2)
    often = 2 ** (knobs.factors - 1)
    for layer in layers:
        if layer.inputs % (2 * often):
            raise MethodError(
                f"method.factors needs inputs that {2 * often} divides: {layer.name} has {layer.inputs} for "
                f"{knobs.factors} factors."
            )
    widths = [(layer, layer.inputs // often) for layer in layers]
    return fits.block(knobs.block, widths, "block", least=2, step=2)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import BOFTConfig

    return BOFTConfig(
        boft_block_size=_side(knobs, target.anatomy),
        boft_n_butterfly_factor=knobs.factors,
        boft_dropout=knobs.dropout,
        target_modules=target.pattern,
    )
