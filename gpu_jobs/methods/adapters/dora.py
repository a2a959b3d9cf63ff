"""DoRA: LoRA on the direction of each weight, with a trained length per output.

    W' = m (W + (alpha / r) B A) / ||W + (alpha / r) B A||        m (out,), norms over each row

(Liu et al. 2024). m begins as the row norms of W and B at zero, so that training begins at the base model;
the norm is not differentiated through. Merging writes W'. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from gpu_jobs.anatomy import Anatomy
from gpu_jobs.methods.adapters.lora import LowRank, config, lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2402.09353"


class Knobs(LowRank):
    name: Literal["dora"]


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A, B and the lengths m of every adapted layer."""
    lengths = {f"{layer.name}.m": (layer.outputs,) for layer in anatomy.layers(knobs.targets)}
    return lowrank(knobs.rank, anatomy, knobs.targets) | lengths


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    return config(knobs, target, use_dora=True)
