"""WaveFT: a few trained coefficients of each update's wavelet transform.

    W' = W + scale IDWT(E)        E zero but for n trained entries at random places, Haar wavelets

(Bilican et al. 2025). The coefficients begin at zero, so that training begins at the base model. The places come from
the run's seed. Through HF PEFT; unchecked against the paper's equations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.methods.adapters import fourierft
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2505.12532"
LR = 1e-2


class Knobs(AdapterKnobs):
    name: Literal["waveft"]
    frequencies: int = Field(
        2592, ge=1, le=10**7, description="Trained coefficients per layer.", json_schema_extra={"log": True}
    )
    scale: float = Field(25.0, gt=0, le=10**5, description="Factor of the update.", json_schema_extra={"log": True})


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The coefficients of every adapted layer, as FourierFT has them."""
    return fourierft.sizes(knobs, anatomy)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import WaveFTConfig

    return WaveFTConfig(**fourierft.coefficients(knobs, target))
