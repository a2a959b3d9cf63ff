"""Super: trains the largest entries of each weight.

    W' = W + S        S zero but at the (1 - sparsity) in out entries of largest |W| (or the smallest)

S begins at zero; the places are saved with the adapter. Linear layers only. As HF PEFT has it; unchecked against the
paper.
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

PAPER = "https://arxiv.org/abs/2607.09287"
LR = 1e-3


class Knobs(AdapterKnobs):
    name: Literal["supertuning"]
    sparsity: float = Field(0.99, ge=0, lt=1, description="Share of each weight that stays as it was.")
    largest: bool = Field(True, description="Train the largest entries; otherwise the smallest.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The trained entries of every adapted layer. Raises MethodError where none is left."""
    layers = fits.linear(knobs.name, anatomy, knobs.targets)
    return {f"{layer.name}.S": (_count(knobs, layer),) for layer in layers}


def _count(knobs: Knobs, layer: Layer) -> int:
    count = int((1 - knobs.sparsity) * layer.inputs * layer.outputs)
    if not count:
        raise MethodError(f"method.sparsity {knobs.sparsity} leaves no entry of {layer.name} to train: lower it.")
    return count


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import SupertuningConfig

    sizes(knobs, target.anatomy)
    return SupertuningConfig(sparsity=knobs.sparsity, select_top=knobs.largest, target_modules=target.pattern)
