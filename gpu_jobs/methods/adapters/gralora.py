"""GraLoRA: LoRA in blocks, so that one odd input does not disturb the whole layer.

    W in k x k blocks, each with its own low-rank update of rank r / k        alpha / r as in LoRA

(Jung et al. 2025): r (in + out) parameters as LoRA of rank r, with an update of a rank up to k r. B begins at zero. r
must be a multiple of k, and k must divide both sides of all adapted layers. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2505.20355"


class Knobs(AdapterKnobs):
    name: Literal["gralora"]
    rank: int = Field(32, ge=1, le=4096, description="Rank r, shared out over k.", json_schema_extra={"log": True})
    alpha: float = Field(64.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    blocks: int = Field(2, ge=1, le=64, description="Blocks k along each side.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every block of every adapted layer. Raises MethodError where blocks do not come out even."""
    k, shapes = knobs.blocks, Shapes()
    if knobs.rank % k:
        raise MethodError(f"method.rank must be a multiple of method.blocks: {knobs.rank} and {k}.")
    for layer in anatomy.layers(knobs.targets):
        if layer.inputs % k or layer.outputs % k:
            raise MethodError(
                f"method.blocks must divide both sides of every adapted layer: {layer.name} is "
                f"{layer.outputs} x {layer.inputs}, blocks is {k}."
            )
        shapes[f"{layer.name}.A"] = (k, layer.inputs // k, knobs.rank)
        shapes[f"{layer.name}.B"] = (k, knobs.rank, layer.outputs // k)
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import GraloraConfig

    sizes(knobs, target.anatomy)
    return GraloraConfig(
        r=knobs.rank,
        alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        gralora_k=knobs.blocks,
        gralora_dropout=knobs.dropout,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
    )
