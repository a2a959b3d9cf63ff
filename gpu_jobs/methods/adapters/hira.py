"""HiRA: multiplies each weight, entry by entry, with a low-rank matrix.

    W' = W + W * (B A)        A (r, in), B (out, r), * the Hadamard product

(Huang et al. 2025), so that the update has a high rank where W has. B begins at zero. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.methods.adapters.lora import lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://openreview.net/forum?id=TwJrTz9cRS"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["hira"]
    rank: int = Field(32, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer."""
    return lowrank(knobs.rank, anatomy, knobs.targets)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import HiraConfig

    return HiraConfig(
        r=knobs.rank,
        hira_dropout=knobs.dropout,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
    )
