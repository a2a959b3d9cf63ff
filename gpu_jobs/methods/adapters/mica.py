"""MiCA: LoRA that learns in the weakest directions of each weight.

    h = W x + (alpha / r) B A x        B = the r left singular vectors of W with the smallest singular values, frozen

A (r, in) begins at zero and is all that is trained, so that the model begins as the base. As HF PEFT has it;
unchecked against the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2604.01694"


class Knobs(AdapterKnobs):
    name: Literal["mica"]
    rank: int = Field(8, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A of every adapted layer."""
    layers = anatomy.layers(knobs.targets)
    rank = fits.rank(knobs.rank, layers)
    return {f"{layer.name}.lora_A": (rank, layer.inputs) for layer in layers}


def frozen(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """B of every adapted layer."""
    return {f"{layer.name}.lora_B": (layer.outputs, knobs.rank) for layer in anatomy.layers(knobs.targets)}


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model. Raises MethodError where a layer is too small."""
    from peft import LoraConfig

    sizes(knobs, target.anatomy)
    return LoraConfig(
        r=knobs.rank,
        lora_alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        lora_dropout=knobs.dropout,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
        init_lora_weights="mica",
    )
