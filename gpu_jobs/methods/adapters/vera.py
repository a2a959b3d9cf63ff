"""VeRA: trained scales around two random matrices that all layers share.

    h = W x + diag(b) B diag(d) A x        A (r, in) and B (out, r) random and frozen; b (out,), d (r,) trained

(Kopiczko et al. 2023). b begins at zero, so that training begins at the base model; d at `start`. A and B
are drawn once, for the widest layer, from the run's seed, and each layer takes its corner. They are saved with the
adapter. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2310.11454"
LR = 1e-2


class Knobs(AdapterKnobs):
    name: Literal["vera"]
    rank: int = Field(
        256, ge=1, le=65536, description="Width r of the random matrices.", json_schema_extra={"log": True}
    )
    start: float = Field(
        0.1, gt=0, le=10, description="What the inner scales d begin at.", json_schema_extra={"advanced": True}
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """d and b of every adapted layer."""
    shapes: Shapes = {}
    for layer in anatomy.layers(knobs.targets):
        shapes |= {f"{layer.name}.d": (knobs.rank,), f"{layer.name}.b": (layer.outputs,)}
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import VeraConfig

    return VeraConfig(
        r=knobs.rank,
        d_initial=knobs.start,
        vera_dropout=knobs.dropout,
        projection_prng_key=target.seed,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
    )
