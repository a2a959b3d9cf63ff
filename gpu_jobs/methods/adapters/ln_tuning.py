"""LN tuning: trains only the weights and biases of the norms.

    all norms of the model, in a copy beside them        begins at the base model exactly

(Zhao et al. 2023). Merging puts the copies in place. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy, pattern
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig

PAPER = "https://arxiv.org/abs/2312.11420"
LR = 1e-3


class Knobs(registry.Knobs):
    name: Literal["ln_tuning"]


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """Copies of the weights and biases of all norms."""
    return {f"{name}.trained": shape for name, shape in anatomy.norms().items()}


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import LNTuningConfig

    return LNTuningConfig(target_modules=pattern("norms", target.model.config.model_type))
