"""CorDA: LoRA that begins with the parts of each weight that its inputs use most, or least.

    W C = U S V^T, C = mean X^T X        B = U_r (S_r / s)^(1/2), A = (S_r / s)^(1/2) V_r^T C^-1, W_res = W - s B A

(Yang et al. 2024, section 3), s = alpha / r. X are a layer's inputs on the first training samples. `ipm` (instruction
previewed) takes the r largest singular values, `kpm` (knowledge preserved) the r smallest, so that what the samples
need is kept frozen. C is damped until it can be inverted. The model begins as the base up to rounding. What is saved
is the change s (B A - B_0 A_0), a plain LoRA of rank 2 r for the original base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.hooks import Rewriting
from gpu_jobs.methods.adapters.lora import lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2406.05223"
REWRITES = True
TOLERANCE = 1e-5  # what is saved is the difference to the base: other sums


class Knobs(AdapterKnobs):
    name: Literal["corda"]
    rank: int = Field(8, ge=1, le=4096, description="Inner width r of the update.", json_schema_extra={"log": True})
    alpha: float = Field(8.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input.")
    mode: Literal["ipm", "kpm"] = Field("ipm", description="Train the directions that matter most, or least.")
    samples: int = Field(
        256, ge=1, le=65536, description="Training samples that are looked at first.", json_schema_extra={"log": True}
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer."""
    fits.rank(knobs.rank, anatomy.layers(knobs.targets))
    return lowrank(knobs.rank, anatomy, knobs.targets)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model: a plain LoRA, which `Hooks` then lets begin elsewhere."""
    from peft import LoraConfig
    from peft.tuners.lora.config import CordaConfig

    sizes(knobs, target.anatomy)
    return LoraConfig(
        r=knobs.rank,
        lora_alpha=knobs.alpha,  # type: ignore[arg-type]  # PEFT means any number
        lora_dropout=knobs.dropout,
        target_modules=target.pattern,
        fan_in_fan_out=target.fan_in_fan_out,
        corda_config=CordaConfig(corda_method=knobs.mode),
    )


class Hooks(Rewriting):
    """Looks at the inputs of all adapted layers, and begins with the parts of the weights that they choose."""

    def calibrate(self) -> None:
        import torch

        layers = self.layers()
        covariances = {name: torch.zeros(()) for name in layers}

        def look(name: str, x: Tensor) -> None:
            rows = x.detach().float().flatten(0, -2)  # (tokens, in)
            rows = rows / rows.max().abs()
            covariances[name] = covariances[name].to(rows.device) + rows.T @ rows / self.knobs.samples

        self.watch(look)
        for name, layer in layers.items():
            self.take_out(layer, *parts(self.knobs, layer, covariances[name]))


def parts(knobs: Knobs, layer: Any, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """A (r, in) and B (out, r) for a LoRA layer whose inputs have this covariance (in, in); PEFT's decomposition."""
    from peft.tuners.lora.corda import collect_eigens_for_layer

    base = layer.get_base_layer()
    base.covariance_matrix = covariance.to(base.weight.device)
    found = collect_eigens_for_layer(base, None)
    del base.covariance_matrix
    chosen = slice(knobs.rank) if knobs.mode == "ipm" else slice(-knobs.rank, None)
    root = (found.S_WC[chosen] / layer.scaling["default"]).sqrt().to(found.U_WC.device)
    return root[:, None] * found.V_WC[:, chosen].T, found.U_WC[:, chosen] * root
