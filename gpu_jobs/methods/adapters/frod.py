"""FRoD: a full-rank update of two scales around matrices that layers of a kind share.

    W' = U (diag(l) + S) V^T        V (in, in) from all layers of a kind; U diag(l) = W V; S sparse; l and S trained

S begins at zero and l where W' is W, up to rounding. As HF PEFT has it; unchecked against the paper. PEFT keeps U and V
of every layer, in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://doi.org/10.1609/aaai.v40i31.39813"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["frod"]
    sparsity: float = Field(0.99, ge=0, lt=1, description="Share of S that stays zero.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """l and the entries of S of every adapted layer."""
    shapes: Shapes = {}
    for layer in anatomy.layers(knobs.targets):
        count = min(int(layer.inputs**2 * (1 - knobs.sparsity)), layer.inputs * (layer.inputs - 1))
        if not count:
            raise MethodError(f"method.sparsity {knobs.sparsity} leaves no entry of {layer.name} to train: lower it.")
        shapes |= {f"{layer.name}.l": (layer.inputs,), f"{layer.name}.S": (count,)}
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import FrodConfig

    sizes(knobs, target.anatomy)
    return FrodConfig(
        sparse_rate=1 - knobs.sparsity,
        frod_dropout=knobs.dropout,
        projection_prng_key=target.seed,
        progressbar=False,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
    )
