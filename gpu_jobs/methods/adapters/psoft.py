"""PSOFT: an orthogonal turn within each weight's principal subspace.

    W' = W + s B (diag(a) R diag(b) - I) A        A, B from the r largest singular values of W, frozen; s = alpha / r

R (r, r) is orthogonal by the Cayley transform and begins at I; a and b, r scales each, begin at 1. Linear layers
only. As HF PEFT has it; unchecked against the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://openreview.net/forum?id=FSHrinMArK"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["psoft"]
    rank: int = Field(16, ge=2, le=4096, description="Size r of the subspace.", json_schema_extra={"log": True})
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The upper triangle of R's generator, a and b of every adapted layer."""
    layers, shapes = fits.linear(knobs.name, anatomy, knobs.targets), Shapes()
    rank = fits.rank(knobs.rank, layers)
    for layer in layers:
        shapes |= {f"{layer.name}.{name}": (rank,) for name in ("a", "b")}
        shapes[f"{layer.name}.R"] = (rank * (rank - 1) // 2,)
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import PsoftConfig

    sizes(knobs, target.anatomy)
    return PsoftConfig(
        r=knobs.rank,
        psoft_alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        psoft_dropout=knobs.dropout,
        random_seed=target.seed,
        target_modules=target.pattern,
    )
