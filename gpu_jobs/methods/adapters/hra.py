"""HRA: reflects the inputs of each layer a few times.

    h = W H_1 ... H_r x        H_j = I - 2 u_j u_j^T / ||u_j||^2

(Yuan et al. 2024): an orthogonal adaptation that is also of rank r. The u_j begin in equal pairs, whose
reflections cancel, so that training begins at the base model; r must be even. Linear layers only. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2405.17484"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["hra"]
    rank: int = Field(8, ge=1, le=4096, description="Reflections r per layer, even.", json_schema_extra={"log": True})


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """u_1 to u_r of every adapted layer. Raises MethodError for an odd rank."""
    layers, rank = fits.linear(knobs.name, anatomy, knobs.targets), fits.even(knobs.rank)
    return {f"{layer.name}.u": (layer.inputs, rank) for layer in layers}


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import HRAConfig

    sizes(knobs, target.anatomy)
    return HRAConfig(r=knobs.rank, target_modules=target.pattern)
