"""MiSS: one small matrix per layer, repeated over the inputs.

    h = W x + D^T s        D (r, out), s_j the sum of the inputs in the j-th of the r groups

(Kang and Yin 2024): the update's columns are shared by all inputs of a group. D begins at zero. Linear layers only.
Through HF PEFT; unchecked against the paper's equations.
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

PAPER = "https://arxiv.org/abs/2409.15371"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["miss"]
    rank: int = Field(8, ge=1, le=4096, description="Groups r of the inputs.", json_schema_extra={"log": True})
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """D of every adapted layer. Raises MethodError where it has fewer inputs than groups."""
    shapes: Shapes = {}
    for layer in fits.linear(knobs.name, anatomy, knobs.targets):
        if knobs.rank > layer.inputs:
            raise MethodError(
                f"method.rank must not exceed a layer's inputs: {knobs.rank} > {layer.inputs} of {layer.name}."
            )
        shapes[f"{layer.name}.D"] = (knobs.rank, layer.outputs)
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import MissConfig

    sizes(knobs, target.anatomy)
    return MissConfig(r=knobs.rank, miss_dropout=knobs.dropout, target_modules=target.pattern)
