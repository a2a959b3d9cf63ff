"""OFT: turns the inputs of each layer by a trained rotation.

    h = W R x        R block-diagonal, each block (I + Q)(I - Q)^-1 with Q skew-symmetric

(Qiu et al. 2023; the Cayley transform). Angles between a layer's neurons stay as they were. Q begins at
zero. With `neumann` the inverse is a sum of `terms` powers of Q, faster and only nearly orthogonal. The block used is
the largest that divides the inputs of all adapted layers. Linear layers only. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2306.07280"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["oft"]
    block: int = Field(
        32, ge=2, le=4096, description="Largest side of a block of the rotation.", json_schema_extra={"log": True}
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Probability of leaving a block as it was.")
    neumann: bool = Field(
        True, description="Approximate the inverse by a series.", json_schema_extra={"advanced": True}
    )
    terms: int = Field(5, ge=2, le=64, description="Terms of the series.", json_schema_extra={"advanced": True})


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The upper triangle of Q for every block of every adapted layer."""
    layers = fits.linear(knobs.name, anatomy, knobs.targets)
    side = fits.block(knobs.block, fits.inputs(layers), "block", least=2)
    return {f"{layer.name}.Q": (layer.inputs // side, side * (side - 1) // 2) for layer in layers}


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import OFTConfig

    layers = fits.linear(knobs.name, target.anatomy, knobs.targets)
    return OFTConfig(
        oft_block_size=fits.block(knobs.block, fits.inputs(layers), "block", least=2),
        module_dropout=knobs.dropout,
        use_cayley_neumann=knobs.neumann,
        num_cayley_neumann_terms=knobs.terms,
        target_modules=target.pattern,
    )
