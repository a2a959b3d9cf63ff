"""MiCA: LoRA that learns in the weakest directions of each weight.

    h = W x + (alpha / r) B A x        B = the r left singular vectors of W with the smallest singular values, frozen

A (r, in) begins at zero and is all that is trained, so that the model begins as the base. As HF PEFT has it;
unchecked against the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from gpu_jobs import fits
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.methods.adapters.lora import LowRank, config
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2604.01694"


class Knobs(LowRank):
    name: Literal["mica"]


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
    sizes(knobs, target.anatomy)
    return config(knobs, target, init_lora_weights="mica")
