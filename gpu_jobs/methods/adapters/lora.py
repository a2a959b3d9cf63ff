"""LoRA: low-rank updates beside frozen weights.

    h = W x + (alpha / r) B A x        A (r, in), B (out, r)

(Hu et al. 2021, equation 3). A is random and B zero, so that training begins at the base model exactly; with `rslora`
the factor is alpha / sqrt(r) (Kalajdzievski 2023, theorem 3.2). Merging adds (alpha / r) B A to W, and the model then
costs what the base costs. Through HF PEFT, in whose format it is saved. A classifier's new head is trained whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import LoraConfig, PeftConfig

PAPER = "https://arxiv.org/abs/2106.09685"


class LowRank(AdapterKnobs):
    """What every LoRA can be asked, whatever it begins with and however it is scaled."""

    rank: int = Field(8, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


class Knobs(LowRank):
    name: Literal["lora"]
    rslora: bool = Field(
        False, description="Scale by alpha / sqrt(rank): large ranks learn too.", json_schema_extra={"advanced": True}
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer."""
    return lowrank(knobs.rank, anatomy, knobs.targets)


def lowrank(rank: int, anatomy: Anatomy, targets: Any) -> Shapes:
    """(rank, in) and (out, rank) for every layer that is meant."""
    shapes: Shapes = {}
    for layer in anatomy.layers(targets):
        shapes[f"{layer.name}.lora_A"] = (rank, layer.inputs)
        shapes[f"{layer.name}.lora_B"] = (layer.outputs, rank)
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    return config(knobs, target, use_rslora=knobs.rslora)


def config(knobs: LowRank, target: Any, **options: Any) -> LoraConfig:
    """PEFT's LoRA of this rank on these layers; `options` are more of its fields."""
    from peft import LoraConfig

    return LoraConfig(
        r=knobs.rank,
        lora_alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        lora_dropout=knobs.dropout,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
        **options,
    )
