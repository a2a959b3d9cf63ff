"""LoHa: the Hadamard product of two low-rank updates.

    W' = W + (alpha / r) (B1 A1) * (B2 A2)        of a rank up to r^2 with the parameters of two LoRAs

(Hyeon-Woo et al. 2021, FedPara, proposition 1; Yeh et al. 2023, LyCORIS). B2 begins at zero, so that training begins
at the base model. Linear layers only. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2108.06098"


class Knobs(AdapterKnobs):
    name: Literal["loha"]
    rank: int = Field(8, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(8.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Probability of leaving the update out of a layer.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """Two pairs A and B of every adapted layer."""
    shapes: Shapes = {}
    for layer in fits.linear(knobs.name, anatomy, knobs.targets):
        for pair in (1, 2):
            shapes[f"{layer.name}.A{pair}"] = (knobs.rank, layer.inputs)
            shapes[f"{layer.name}.B{pair}"] = (layer.outputs, knobs.rank)
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import LoHaConfig

    sizes(knobs, target.anatomy)
    return LoHaConfig(
        r=knobs.rank,
        alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        module_dropout=knobs.dropout,
        target_modules=target.pattern,
    )
