"""BEFT: trains a bias on chosen layers, the values' in the paper.

    h = W x + b        b begins at zero

It only merges into layers that have a bias; in a llama, whose layers have none, it cannot. Linear layers only. As HF
PEFT has it; unchecked against the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy, Targets
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2509.15974"
LR = 1e-3
MERGES = False  # not everywhere


class Knobs(AdapterKnobs):
    name: Literal["beft"]
    targets: Targets = Field(
        "attention", description="Which layers get a bias: a group, or the names of modules (v_proj)."
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """b of every adapted layer."""
    return {f"{layer.name}.b": (1, layer.outputs) for layer in fits.linear(knobs.name, anatomy, knobs.targets)}


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import BeftConfig

    sizes(knobs, target.anatomy)
    return BeftConfig(target_modules=target.pattern)
