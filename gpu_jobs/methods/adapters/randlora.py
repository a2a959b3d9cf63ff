"""RandLoRA: a full-rank update as a trained mixture of random low-rank ones.

    W' = W + (alpha / r) sum_j B_j diag(l_j) A_j diag(g_j)        j to ceil(min(in, out) / r); B_j, A_j random, frozen

(Albert et al. 2025). l (r, n) begins at zero, so that training begins at the base model. The random
matrices are shared by all layers, drawn from the run's seed and saved with the adapter. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2502.00987"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["randlora"]
    rank: int = Field(
        32,
        ge=1,
        le=4096,
        description="Rank r of each random update: a smaller one means more of them, and more parameters.",
        json_schema_extra={"log": True},
    )
    alpha: float = Field(640.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """l and g of every adapted layer."""
    shapes: Shapes = {}
    for layer in anatomy.layers(knobs.targets):
        side = min(layer.inputs, layer.outputs)
        bases = -(-side // knobs.rank)
        shapes |= {f"{layer.name}.l": (knobs.rank, bases), f"{layer.name}.g": (bases, side)}
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import RandLoraConfig

    return RandLoraConfig(
        r=knobs.rank,
        randlora_alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        randlora_dropout=knobs.dropout,
        projection_prng_key=target.seed,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
    )
