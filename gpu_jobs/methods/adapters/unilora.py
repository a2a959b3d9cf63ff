"""Uni-LoRA: all of LoRA's matrices as one short trained vector, dealt out at random.

    [A_1; B_1; A_2; ...] = P t        t (n,) trained; P frozen, one entry per row, 1 / sqrt(its column's count)

(Li et al. 2025). P comes from the run's seed. t begins uniform and small, so that training begins near the base model,
not at it. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2506.00799"
LR = 1e-2
STARTS_AT_BASE = False


class Knobs(AdapterKnobs):
    name: Literal["unilora"]
    length: int = Field(
        256, ge=1, le=10**7, description="Trained numbers n of the whole model.", json_schema_extra={"log": True}
    )
    rank: int = Field(4, ge=1, le=4096, description="Inner width r of the updates.", json_schema_extra={"log": True})
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """t, which all adapted layers share."""
    return {"t": (knobs.length,)}


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import UniLoraConfig

    return UniLoraConfig(
        r=knobs.rank,
        theta_d_length=knobs.length,
        unilora_dropout=knobs.dropout,
        proj_seed=target.seed,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
    )
