"""MaskLoRA: low-rank retraining of a pruned model that leaves its zeros alone.

    h = (W + (alpha / r) M * (B A)) x        M = 1 where W is not zero

(Zimmer et al. 2023, PERP). A is random and B zero as in LoRA. The mask is read from W itself and never stored. Merging
is exact and every zero of W is a zero of the merged weight, which a plain LoRA would fill. On a model without zeros it
is LoRA. The price: B A is multiplied out in every step, one more matrix of W's size per layer. As in the authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.methods.adapters.lora import lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2312.15230"
LR = 5e-4


class Knobs(AdapterKnobs):
    name: Literal["mask_lora"]
    rank: int = Field(16, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(32.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer."""
    return lowrank(knobs.rank, anatomy, knobs.targets)


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """A (r, in) and B (out, r), which is zero."""
    from gpu_jobs.engine.adapters.lowrank import factors

    return factors(knobs.rank, base, generator)


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W + s M * (B A)"""
    weight: Tensor = base.weight
    return weight + knobs.alpha / knobs.rank * (values["B"] @ values["A"]) * (weight != 0)
