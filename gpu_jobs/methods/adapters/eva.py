"""EVA: LoRA that begins with the directions of most variance in its inputs.

    X = U S V^T        A = the r right singular vectors of largest singular value, B = 0

(Paischer et al. 2024). X are a layer's inputs on the first training samples, all of them at once, while the
paper goes through them in batches; the ranks stay equal, while the paper also shares them out anew (HF PEFT's rho = 1).
B is zero, so that the model begins as the base. It is saved as a plain LoRA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.hooks import Calibrated
from gpu_jobs.methods.adapters.lora import LowRank, config, lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2410.07170"


class Knobs(LowRank):
    name: Literal["eva"]
    samples: int = Field(
        64, ge=1, le=65536, description="Training samples that are looked at first.", json_schema_extra={"log": True}
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer. Raises MethodError where there are fewer inputs than the rank."""
    fits.rank(knobs.rank, anatomy.layers(knobs.targets))
    return lowrank(knobs.rank, anatomy, knobs.targets)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model: a plain LoRA, which `Hooks` then lets begin elsewhere."""
    sizes(knobs, target.anatomy)
    return config(knobs, target)


class Hooks(Calibrated):
    """Looks at the inputs of all adapted layers, and gives each A their main directions."""

    def calibrate(self) -> None:
        import torch

        layers = self.layers()
        grams = {name: torch.zeros(()) for name in layers}

        def look(name: str, x: Tensor) -> None:
            rows = x.detach().double().flatten(0, -2)  # (tokens, in)
            grams[name] = grams[name].to(rows) + rows.T @ rows

        self.watch(look)
        for name, layer in layers.items():
            _, directions = torch.linalg.eigh(grams[name])  # (in, in), the largest last; those of X^T X are X's
            with torch.no_grad():
                layer.lora_A["default"].weight.copy_(directions.flip(1)[:, : self.knobs.rank].T)
