"""DeLoRA: LoRA with its direction and its strength apart.

    W' = W + (l / r) sum_i b_i a_i^T / (||b_i|| ||a_i||) diag(n)        l trained, n the norms of W's columns

(Bini et al. 2025): each rank-one part has length one, so that l alone bounds the distance from W. B begins so that the
update is zero. Linear layers only. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.methods.adapters.lora import lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2503.18225"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["delora"]
    rank: int = Field(8, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    strength: int = Field(15, ge=1, le=1000, description="What l begins at.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Probability of leaving the update out of a layer.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A, B and l of every adapted layer."""
    strengths = {f"{layer.name}.l": (1,) for layer in fits.linear(knobs.name, anatomy, knobs.targets)}
    return lowrank(knobs.rank, anatomy, knobs.targets) | strengths


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import DeloraConfig

    sizes(knobs, target.anatomy)
    return DeloraConfig(
        r=knobs.rank,
        delora_lambda=knobs.strength,
        module_dropout=knobs.dropout,
        target_modules=target.pattern,
    )
