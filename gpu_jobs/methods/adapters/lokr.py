"""LoKr: the Kronecker product of a small matrix and a low-rank one.

    W' = W + s C kron (B A)        C (u, v), B (out / u, r), A (r, in / v); s = alpha / r

(Yeh et al. 2023, LyCORIS; Edalati et al. 2022, KronA). u and v are the largest divisors of out and in up to their
square roots, or up to `factor`. Where r is at least half of max(out / u, in / v), B A is one whole matrix, and HF
PEFT then scales by 1. C begins at zero, so that training begins at the base model. Linear layers only. Through HF
PEFT.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2309.14859"


class Knobs(AdapterKnobs):
    name: Literal["lokr"]
    rank: int = Field(8, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(8.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Probability of leaving the update out of a layer.")
    factor: int = Field(
        0,
        ge=0,
        le=65536,
        description="Sides of the small matrix, at most; 0 is as square as possible.",
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The factors of every adapted layer."""
    shapes: Shapes = {}
    for layer in fits.linear(knobs.name, anatomy, knobs.targets):
        u, v = split(layer.outputs, knobs.factor), split(layer.inputs, knobs.factor)
        rows, columns = layer.outputs // u, layer.inputs // v
        shapes[f"{layer.name}.C"] = (u, v)
        if knobs.rank < max(rows, columns) / 2:
            shapes |= {f"{layer.name}.B": (rows, knobs.rank), f"{layer.name}.A": (knobs.rank, columns)}
        else:
            shapes[f"{layer.name}.BA"] = (rows, columns)
    return shapes


def split(width: int, factor: int) -> int:
    """The smaller side: the largest divisor up to the square root, or up to `factor`; a dividing `factor` itself."""
    if factor and width % factor == 0:
        return factor
    most = min(factor or width, math.isqrt(width))
    return max(side for side in range(1, most + 1) if width % side == 0)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import LoKrConfig

    sizes(knobs, target.anatomy)
    return LoKrConfig(
        r=knobs.rank,
        alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        module_dropout=knobs.dropout,
        decompose_factor=knobs.factor or -1,
        target_modules=target.pattern,
    )
