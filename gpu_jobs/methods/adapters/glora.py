"""GLoRA: scales and shifts each weight and its bias by several supports at once.

    h = (W + W * A + B) x + C W + (b + b * D + E)        A, B low-rank; C a vector through W; D and E for the bias

(Chavan et al. 2023), with A, B and C of rank r and D, E constants, as HF PEFT has it. Linear layers only.
It begins at the base model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2306.07967"
LR = 1e-3
IS_PARTIAL = True  # a bias that is zero gives its scale D no gradient


class Knobs(AdapterKnobs):
    name: Literal["glora"]
    rank: int = Field(4, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The supports of every adapted layer."""
    shapes: Shapes = {}
    for layer in fits.linear(knobs.name, anatomy, knobs.targets):
        for support in ("A", "B"):
            shapes[f"{layer.name}.{support}d"] = (layer.outputs, knobs.rank)
            shapes[f"{layer.name}.{support}u"] = (knobs.rank, layer.inputs)
        if f"{layer.name}.bias" in anatomy.shapes:
            shapes |= {f"{layer.name}.Cd": (layer.inputs, knobs.rank), f"{layer.name}.Cu": (knobs.rank, 1)}
            shapes |= {f"{layer.name}.D": (1,), f"{layer.name}.E": (1,)}
    return shapes


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import GloraConfig

    sizes(knobs, target.anatomy)
    return GloraConfig(r=knobs.rank, target_modules=target.pattern)
