"""DoRA: LoRA on the direction of each weight, with a trained length per output.

    W' = m (W + (alpha / r) B A) / ||W + (alpha / r) B A||        m (out,), norms over each row

(Liu et al. 2024). m begins as the row norms of W and B at zero, so that training begins at the base model;
the norm is not differentiated through. Merging writes W'. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.methods.adapters.lora import lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2402.09353"


class Knobs(AdapterKnobs):
    name: Literal["dora"]
    rank: int = Field(8, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A, B and the lengths m of every adapted layer."""
    lengths = {f"{layer.name}.m": (layer.outputs,) for layer in anatomy.layers(knobs.targets)}
    return lowrank(knobs.rank, anatomy, knobs.targets) | lengths


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import LoraConfig

    return LoraConfig(
        r=knobs.rank,
        lora_alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        lora_dropout=knobs.dropout,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
        use_dora=True,
    )
