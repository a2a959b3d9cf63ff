"""OLoRA: LoRA that begins with an orthonormal basis of each weight.

    W = Q R        B = Q_r, A = R_r, W_res = W - s B A, s = alpha / r

(Buyukakyuz 2024). B takes the first r columns of Q and A the first r rows of R. The model begins as the
base up to rounding. What is saved is the change s (B A - B_0 A_0), a plain LoRA of rank 2 r for the original base.
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

PAPER = "https://arxiv.org/abs/2406.01775"
REWRITES = True
TOLERANCE = 1e-5  # what is saved is the difference to the base: other sums


class Knobs(LowRank):
    name: Literal["olora"]
    alpha: float = Field(8.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer."""
    fits.rank(knobs.rank, fits.linear(knobs.name, anatomy, knobs.targets))
    return lowrank(knobs.rank, anatomy, knobs.targets)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model. Raises MethodError where a layer is too small."""
    sizes(knobs, target.anatomy)
    return config(knobs, target, init_lora_weights="olora")
