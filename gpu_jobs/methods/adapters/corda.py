"""CorDA: LoRA that begins with the parts of each weight that its inputs use most, or least.

    W C = U S V^T, C = mean X^T X        B = U_r (S_r / s)^(1/2), A = (S_r / s)^(1/2) V_r^T C^-1, W_res = W - s B A

(Yang et al. 2024), s = alpha / r. X are a layer's inputs on the first training samples. `ipm` (instruction
previewed) takes the r largest singular values, `kpm` (knowledge preserved) the r smallest, so that what the samples
need is kept frozen. C is damped until it can be inverted. The model begins as the base up to rounding. What is saved
is the change s (B A - B_0 A_0), a plain LoRA of rank 2 r for the original base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.hooks import Rewriting
from gpu_jobs.methods.adapters.lora import LowRank, config, lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2406.05223"
REWRITES = True
TOLERANCE = 1e-5  # what is saved is the difference to the base: other sums


class Knobs(LowRank):
    name: Literal["corda"]
    alpha: float = Field(8.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")
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
    sizes(knobs, target.anatomy)
    return config(knobs, target)


class Hooks(Rewriting):
    """Looks at the inputs of all adapted layers, and begins with the parts of the weights that they choose."""

    def calibrate(self) -> None:
        import torch

        layers = self.layers()
        covariances = {name: torch.zeros(()) for name in layers}

        def look(name: str, x: Tensor) -> None:
            rows = x.detach().float().flatten(0, -2)  # (tokens, in)
            rows = rows / rows.max().abs().clamp_min(1e-12)
            covariances[name] = covariances[name].to(rows.device) + rows.T @ rows / self.knobs.samples

        self.watch(look)
        for name, layer in layers.items():
            self.take_out(layer, *parts(self.knobs, layer, covariances[name]))


def parts(knobs: Knobs, layer: Any, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """A (r, in) and B (out, r) for a LoRA layer whose inputs have this covariance (in, in)."""
    import torch

    weight = layer.get_base_layer().weight.detach().float()
    weight = weight.T if layer.fan_in_fan_out else weight  # (out, in)
    damped, inverse = inverted(covariance.to(weight.device))
    u, s, vt = torch.linalg.svd(weight @ damped, full_matrices=False)
    chosen = slice(knobs.rank) if knobs.mode == "ipm" else slice(-knobs.rank, None)
    root = (s[chosen] / layer.scaling["default"]).sqrt()
    return root[:, None] * (vt[chosen] @ inverse), u[:, chosen] * root


def inverted(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """The covariance, damped as little as its inverse needs, and that. Raises MethodError when it isn't finite."""
    import torch

    if not torch.isfinite(covariance).all():
        raise MethodError("method 'corda' saw inputs that are not finite: use precision fp32, or another base.")
    identity, damping = torch.eye(len(covariance), device=covariance.device), 0.01
    while True:
        damped = covariance + damping * covariance.diag().mean() * identity
        inverse = torch.linalg.inv(damped)
        if torch.dist(damped @ inverse, identity) < 0.05:
            return damped, inverse
        damping *= 2
