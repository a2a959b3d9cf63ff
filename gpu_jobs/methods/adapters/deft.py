"""DEFT: replaces a learned subspace of each weight.

    W' = (I - P relu(P)^T) W + P R        P (out, r) and R (r, in) trained; "qr": W' = (I - Q Q^T) W + Q R, Q from P

R begins as what the projection takes away, so that training begins at the base model (NeurIPS 2025, for text-to-image
models). As HF PEFT has it; unchecked against the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://proceedings.neurips.cc/paper_files/paper/2025/hash/93a34a7138bdad95e874018d5f491cc6-Abstract-Conference.html"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["deft"]
    rank: int = Field(8, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    decomposition: Literal["relu", "qr"] = Field("relu", description="How Q is made of P.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """P and R of every adapted layer; their rank is at most the layer's outputs."""
    shapes: Shapes = {}
    for layer in anatomy.layers(knobs.targets):
        rank = min(knobs.rank, layer.outputs)
        shapes |= {f"{layer.name}.P": (layer.outputs, rank), f"{layer.name}.R": (rank, layer.inputs)}
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import DeftConfig

    return DeftConfig(
        r=knobs.rank,
        decomposition_method=knobs.decomposition,
        deft_dropout=knobs.dropout,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
    )
