"""Orthogonal LoRA: A and B begin random and orthogonal to each other.

    h = W x + (alpha / r) B A x        A = C Q_odd, B = D Q_even with Q (r, r) orthonormal, so that B A = 0

Both matrices get gradients from the first step on, unlike LoRA's A, and still nothing changes at the start (Datta,
"Rethinking LoRA initialisation", a blog post; there is no paper). The rank must be even. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.methods.adapters.lora import LowRank, config, lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://datta0.github.io/posts/rethink-lora-init/"


class Knobs(LowRank):
    name: Literal["orthogonal"]
    rank: int = Field(
        8, ge=1, le=4096, description="Inner width r of the update, even.", json_schema_extra={"log": True}
    )
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer. Raises MethodError for an odd rank."""
    return lowrank(fits.even(knobs.rank), anatomy, knobs.targets)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model. Raises MethodError for an odd rank."""
    sizes(knobs, target.anatomy)
    return config(knobs, target, init_lora_weights="orthogonal")
