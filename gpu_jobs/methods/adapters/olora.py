"""OLoRA: LoRA that begins with an orthonormal basis of each weight.

    W = Q R        B = Q_r, A = R_r, W_res = W - s B A, s = alpha / r

(Buyukakyuz 2024). B takes the first r columns of Q and A the first r rows of R. The model begins as the
base up to rounding. What is saved is the change s (B A - B_0 A_0), a plain LoRA of rank 2 r for the original base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.methods.adapters.lora import lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2406.01775"
REWRITES = True
TOLERANCE = 1e-5  # what is saved is the difference to the base: other sums


class Knobs(AdapterKnobs):
    name: Literal["olora"]
    rank: int = Field(8, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(8.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer."""
    fits.rank(knobs.rank, fits.linear(knobs.name, anatomy, knobs.targets))
    return lowrank(knobs.rank, anatomy, knobs.targets)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model. Raises MethodError where a layer is too small."""
    from peft import LoraConfig

    sizes(knobs, target.anatomy)
    return LoraConfig(
        r=knobs.rank,
        lora_alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        lora_dropout=knobs.dropout,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
        init_lora_weights="olora",
    )
