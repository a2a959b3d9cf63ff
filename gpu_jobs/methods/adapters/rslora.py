"""rsLoRA: LoRA with a scale that keeps large ranks learning.

    h = W x + (alpha / sqrt(r)) B A x        A (r, in), B (out, r)

(Kalajdzievski 2023, theorem 3.2). With alpha / r, as in LoRA, the update's share shrinks as r grows. Otherwise LoRA: B
is zero, so that training begins at the base model exactly, and merging adds the product to W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import Anatomy
from gpu_jobs.methods.adapters.lora import LowRank, config, lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2312.03732"


class Knobs(LowRank):
    name: Literal["rslora"]
    rank: int = Field(64, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / sqrt(rank).")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer."""
    return lowrank(knobs.rank, anatomy, knobs.targets)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    return config(knobs, target, use_rslora=True)
