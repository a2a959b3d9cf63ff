"""SHiRA: trains a few of each weight's own entries.

    W' = W + S        S zero but for r (in + out) trained entries at random places: as many as LoRA of rank r has

(Bhardwaj et al. 2024, the random mask). S begins at zero. The places come from the run's seed and are saved with the
adapter. Linear layers only. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy, Layer
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2406.13175"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["shira"]
    rank: int = Field(
        4,
        ge=1,
        le=4096,
        description="Sets the number of trained entries: r (in + out) per layer.",
        json_schema_extra={"log": True},
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The trained entries of every adapted layer. Raises MethodError where it has fewer weights."""
    layers = fits.linear(knobs.name, anatomy, knobs.targets)
    return {f"{layer.name}.S": (_count(knobs, layer),) for layer in layers}


def _count(knobs: Knobs, layer: Layer) -> int:
    count, weights = knobs.rank * (layer.inputs + layer.outputs), layer.inputs * layer.outputs
    if count > weights:
        raise MethodError(f"method.rank asks for {count} entries of {layer.name}, which has {weights}: lower it.")
    return count


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import ShiraConfig

    sizes(knobs, target.anatomy)
    return ShiraConfig(r=knobs.rank, random_seed=target.seed, target_modules=target.pattern)
