"""LoRA-GA: LoRA whose first step is close to that of full fine-tuning.

    G = U S V^T, the gradient of W        A = V_r^T, B = U_(r..2r) S_(r..2r) out^(1/4) / gamma^(1/2), W_res = W - s B A

(Wang et al. 2024), s = alpha / r; HF PEFT scales B by the singular values, the paper
does not. G is the mean over the first training samples. The model begins as the base up to rounding. What is saved is
the change s (B A - B_0 A_0), a plain LoRA of rank 2 r for the original base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import fits
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.hooks import Rewriting
from gpu_jobs.methods.adapters.lora import LowRank, config, lowrank
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2407.05000"
REWRITES = True
TOLERANCE = 1e-5  # what is saved is the difference to the base: other sums


class Knobs(LowRank):
    name: Literal["lora_ga"]
    gamma: int = Field(16, ge=1, le=4096, description="Divides B's scale: larger is more careful.")
    samples: int = Field(
        64, ge=1, le=65536, description="Training samples that are looked at first.", json_schema_extra={"log": True}
    )


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """A and B of every adapted layer. Raises MethodError where a gradient has fewer than 2 r singular values."""
    fits.rank(2 * knobs.rank, anatomy.layers(knobs.targets), "rank doubled")
    return lowrank(knobs.rank, anatomy, knobs.targets)


def peft_config(knobs: Knobs, target: Any) -> PeftConfig:
    """PEFT's configuration for this model: a plain LoRA, which `Hooks` then lets begin elsewhere."""
    sizes(knobs, target.anatomy)
    return config(knobs, target)


class Hooks(Rewriting):
    """Takes the gradients of all adapted weights, and begins with their largest parts."""

    def calibrate(self) -> None:
        import torch

        layers = self.layers()
        gradients = self._gradients({name: layer.get_base_layer().weight for name, layer in layers.items()})
        for name, layer in layers.items():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.spec.seed)  # the decomposition is a random one
                self.take_out(layer, *parts(self.knobs, layer, gradients[name]))

    def _gradients(self, weights: dict[str, Any]) -> dict[str, Tensor]:
        """The mean gradient of each weight, as it is stored."""
        import torch

        job, sums = self.job, {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for weight in weights.values():
            weight.requires_grad_(True)
        for batch in self.samples():
            with job.autocast():
                loss = job.objective.loss_sum(job.bare, batch) / job.objective.count(batch)
            found = torch.autograd.grad(loss, list(weights.values()))
            for name, gradient in zip(weights, found, strict=True):
                sums[name] += gradient / self.knobs.samples
        for weight in weights.values():
            weight.requires_grad_(False)
        return sums


def parts(knobs: Knobs, layer: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """A (r, in) and B (out, r) for a LoRA layer whose weight has this gradient; PEFT's rule. Keeps the base whole."""
    from peft import LoraGAConfig

    base = layer.get_base_layer()
    whole, base._peft_loraga_grad = base.weight.data, gradient
    layer.lora_ga_init("default", LoraGAConfig(stable_gamma=knobs.gamma))
    base.weight.data = whole
    return layer.lora_A["default"].weight.detach().float(), layer.lora_B["default"].weight.detach().float()
