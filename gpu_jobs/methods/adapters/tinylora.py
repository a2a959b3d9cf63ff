"""TinyLoRA: a handful of trained numbers per layer, spread over its principal directions.

    W' = W + U S (sum_i v_i P_i) V^T        U, S, V of the r largest singular values; P_i (r, r) random; v (u,) trained

v begins at zero here, so that training begins at the base model. P comes from the run's seed and is saved with the
adapter. As HF PEFT has it, without tying layers; unchecked against the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2602.04118"
LR = 1e-2


class Knobs(AdapterKnobs):
    name: Literal["tinylora"]
    numbers: int = Field(
        64, ge=1, le=65536, description="Trained numbers u per layer.", json_schema_extra={"log": True}
    )
    rank: int = Field(2, ge=1, le=256, description="Singular directions r per layer.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """v of every adapted layer."""
    layers = anatomy.layers(knobs.targets)
    fits.rank(knobs.rank, layers)
    return {f"{layer.name}.v": (knobs.numbers,) for layer in layers}


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import TinyLoraConfig

    sizes(knobs, target.anatomy)
    return TinyLoraConfig(
        r=knobs.rank,
        u=knobs.numbers,
        tinylora_dropout=knobs.dropout,
        projection_seed=target.seed,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
    )
