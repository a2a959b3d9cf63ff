"""FourierFT: a few trained coefficients of each update's Fourier transform.

    W' = W + scale real(F^-1(E))        E zero but for n trained entries at random places

(Gao et al. 2024). The coefficients begin normally distributed, as in the paper, so that training does
not begin at the base model. The places come from the run's seed. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy, Layer
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2405.03003"
LR = 1e-2
STARTS_AT_BASE = False


class Knobs(AdapterKnobs):
    name: Literal["fourierft"]
    frequencies: int = Field(
        1000, ge=1, le=10**7, description="Trained coefficients per layer.", json_schema_extra={"log": True}
    )
    scale: float = Field(150.0, gt=0, le=10**5, description="Factor of the update.", json_schema_extra={"log": True})


def sizes(knobs: Any, anatomy: Anatomy) -> Shapes:
    """The coefficients of every adapted layer, at most as many as it has weights."""
    return {f"{layer.name}.c": (_count(knobs, layer),) for layer in anatomy.layers(knobs.targets)}


def _count(knobs: Any, layer: Layer) -> int:
    return int(min(knobs.frequencies, layer.inputs * layer.outputs))


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import FourierFTConfig

    return FourierFTConfig(**coefficients(knobs, target))


def coefficients(knobs: Any, target: Any) -> dict[str, Any]:
    """What PEFT is told of coefficients in a transformed weight: how many in which layer, drawn where, scaled how."""
    small = [layer for layer in target.anatomy.layers(knobs.targets) if _count(knobs, layer) < knobs.frequencies]
    return {
        "n_frequency": knobs.frequencies,
        "n_frequency_pattern": {layer.name: _count(knobs, layer) for layer in small},
        "scaling": knobs.scale,
        "random_loc_seed": target.seed,
        "target_modules": target.pattern,
        "fan_in_fan_out": target.fan_in_fan_out,
    }
