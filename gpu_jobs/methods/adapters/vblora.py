"""VB-LoRA: builds LoRA's matrices out of one bank of vectors that all layers share.

    A and B in pieces of length b, each piece a sum of the k bank vectors with the largest logits, by their softmax

(Li et al. 2024). The bank (h, b) and every piece's h logits are trained. B does not begin at zero,
so that training begins near the base model, not at it. The length used is the largest that divides both sides of all
adapted layers. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2405.15179"
LR = 1e-2
STARTS_AT_BASE = False
IS_PARTIAL = True  # a vector of the bank that no piece has chosen stays


class Knobs(AdapterKnobs):
    name: Literal["vblora"]
    rank: int = Field(4, ge=1, le=1024, description="Inner width r of the update.", json_schema_extra={"log": True})
    vectors: int = Field(256, ge=2, le=65536, description="Vectors h of the bank.", json_schema_extra={"log": True})
    length: int = Field(
        256, ge=1, le=65536, description="Largest length b of a vector.", json_schema_extra={"log": True}
    )
    top: int = Field(2, ge=1, le=64, description="Bank vectors k that make up a piece.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The bank, and the logits of every adapted layer."""
    length, bank = _length(knobs, anatomy), knobs.vectors
    shapes: Shapes = {"bank": (bank, length)}
    for layer in anatomy.layers(knobs.targets):
        shapes[f"{layer.name}.logits_A"] = (knobs.rank, layer.inputs // length, bank)
        shapes[f"{layer.name}.logits_B"] = (layer.outputs // length, knobs.rank, bank)
    return shapes


def _length(knobs: Knobs, anatomy: Anatomy) -> int:
    layers = anatomy.layers(knobs.targets)
    return fits.block(knobs.length, fits.inputs(layers) + fits.outputs(layers), "length")


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import VBLoRAConfig

    if knobs.top > knobs.vectors:
        raise MethodError(f"method.top must not exceed method.vectors: {knobs.top} > {knobs.vectors}.")
    return VBLoRAConfig(
        r=knobs.rank,
        num_vectors=knobs.vectors,
        vector_length=_length(knobs, target.anatomy),
        topk=knobs.top,
        vblora_dropout=knobs.dropout,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
    )
