"""PVeRA: VeRA whose inner features are drawn from a learned normal distribution.

    z ~ N(mu, sigma^2), mu and log sigma^2 = diag(d) A x in halves        h = W x + diag(b) B z

A (2 r, in) and B (out, r) are random, frozen and shared by all layers. z is drawn while training and is mu afterwards,
so that merging is exact. b begins at zero. As HF PEFT has it; unchecked against the paper's equations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2512.07703"
LR = 1e-2


class Knobs(AdapterKnobs):
    name: Literal["pvera"]
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
        shapes |= {f"{layer.name}.d": (2 * knobs.rank,), f"{layer.name}.b": (layer.outputs,)}
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import PveraConfig

    return PveraConfig(
        r=knobs.rank,
        d_initial=knobs.start,
        pvera_dropout=knobs.dropout,
        projection_prng_key=target.seed,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
    )
