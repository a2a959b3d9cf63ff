"""PiSSA: LoRA that begins with the principal parts of each weight.

    W = U S V^T        A = S_r^(1/2) V_r^T / s^(1/2), B = U_r S_r^(1/2) / s^(1/2), W_res = W - s B A, s = alpha / r

(Meng et al. 2024). A and B hold the r largest singular values and are trained; the rest W_res is frozen.
The model begins as the base up to rounding. What is saved is the change s (B A - B_0 A_0), a plain LoRA of rank 2 r for
the original base. With `iterations` the singular vectors are approximated (Halko et al.), faster for wide layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.methods.adapters.lora import LowRank, config, lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2404.02948"
REWRITES = True
TOLERANCE = 1e-5  # what is saved is the difference to the base: other sums


class Knobs(LowRank):
    name: Literal["pissa"]
    rank: int = Field(
        8, ge=1, le=4096, description="Singular values that are trained, per weight.", json_schema_extra={"log": True}
    )
    alpha: float = Field(8.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    iterations: int = Field(
        0,
        ge=0,
        le=64,
        description="Steps of a fast approximate SVD; 0 is an exact one.",
        json_schema_extra={"advanced": True},
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer."""
    fits.rank(knobs.rank, anatomy.layers(knobs.targets))
    return lowrank(knobs.rank, anatomy, knobs.targets)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model. Raises MethodError where a layer is too small."""
    sizes(knobs, target.anatomy)
    return config(knobs, target, init_lora_weights=f"pissa_niter_{knobs.iterations}" if knobs.iterations else "pissa")
