"""VeLoRA: LoRA whose backward keeps one number per group of an input instead of all.

    A's gradient from x_hat = scale <x_g, v> v        x_g a group of the input's features, v the mean one, normed

(Miles et al. 2024). Forward it is LoRA exactly; backward A learns from the reconstructed input. The groups
used are the largest number that divides all adapted layers' inputs. HF PEFT keeps what it needs for the backward.
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

PAPER = "https://arxiv.org/abs/2405.17991"


class Knobs(AdapterKnobs):
    name: Literal["velora"]
    rank: int = Field(8, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")
    groups: int = Field(64, ge=1, le=65536, description="Largest number of groups.", json_schema_extra={"log": True})
    scale: float = Field(1.0, gt=0, le=1000, description="Factor of the reconstruction.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer."""
    return lowrank(knobs.rank, anatomy, knobs.targets)


def _groups(knobs: Knobs, anatomy: Anatomy) -> int:
    return fits.block(knobs.groups, fits.inputs(anatomy.layers(knobs.targets)), "groups")


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import LoraConfig, VeloraConfig

    return LoraConfig(
        r=knobs.rank,
        lora_alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        lora_dropout=knobs.dropout,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
        velora_config=VeloraConfig(num_groups=_groups(knobs, target.anatomy), scale=knobs.scale),
    )
