"""KaSA: LoRA with trained singular values, on weights without their weakest parts.

    h = W_world x + (alpha / r) B diag(d) A x        W_world is W without its r smallest singular values

(Wang et al. 2024). Beside the loss, beta ||d||^2 + gamma (||B^T B - I|| + ||A A^T - I||) per layer is
minimised. Cutting W changes the model, so that training does not begin at the base exactly. Linear layers only. Loading
the adapter cuts the base again. Through HF PEFT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.hooks import Penalised
from gpu_jobs.methods.adapters.lora import lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2412.06071"
STARTS_AT_BASE = False
KEEPS_BASE = False  # what it has cut off is not kept


class Knobs(AdapterKnobs):
    name: Literal["kasa"]
    rank: int = Field(8, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")
    beta: float = Field(1e-4, ge=0, le=10, description="Weight of the singular values' squares.")
    gamma: float = Field(1e-3, ge=0, le=10, description="Weight of the distance of A and B from orthonormal ones.")


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A, B and d of every adapted layer. Raises MethodError where the rank leaves nothing of a layer."""
    layers = fits.linear(knobs.name, anatomy, knobs.targets)
    fits.rank(knobs.rank + 1, layers, "rank plus one")
    values = {f"{layer.name}.d": (knobs.rank,) for layer in layers}
    return lowrank(knobs.rank, anatomy, knobs.targets) | values


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model."""
    from peft import KasaConfig, LoraConfig

    sizes(knobs, target.anatomy)
    return LoraConfig(
        r=knobs.rank,
        lora_alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        lora_dropout=knobs.dropout,
        target_modules=target.pattern,
        kasa_config=KasaConfig(beta=knobs.beta, gamma=knobs.gamma),
    )


class Hooks(Penalised):
    """Minimises the two penalties."""

    def penalty(self) -> Tensor:
        model: Any = self.model
        return model.base_model._get_kasa_loss()  # type: ignore[no-any-return]
