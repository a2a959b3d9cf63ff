"""QZO: fine-tunes a quantised model by forward passes alone, on the scales of its integer codes.

    W = code Delta                           codes of few bits stay what they are; Delta, one for each group, is trained
    z ~ N(0, I) from a seed;  g = (L(Delta + eps z) - L(Delta - eps z)) / (2 eps)
    Delta <- max(Delta - lr clip(g, -c, c) z, 1e-7)

(Shang et al. 2025, "Fine-tuning Quantized Neural Networks with Zeroth-order Optimization"; clipping and defaults as in
the authors' code, the floor of the scales from a summary of it). There the base is quantised by GPTQ or AQLM; here by
rounding to the nearest of 2^bits - 1 even steps in each group of a row's inputs, so that training does not begin at the
base exactly. Only the scales move, and a classifier's new head. A group that is wider than a row is filled up. Nothing
decays; of the optimizer only the rate is used.

The result is saved as a plain model with W = code Delta: later runs and other programs read it as it is, at the size of
the base. Rounded again by the same knobs it has the same codes and scales.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, perturbation
from gpu_jobs.adaptable import choose_layers
from gpu_jobs.anatomy import HEADS, Anatomy, Targets
from gpu_jobs.perturbation import flops
from gpu_jobs.shapes import Shapes, count, size

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["flops"]
PAPER = "https://arxiv.org/abs/2505.13430"
PARALLEL = ("ddp",)  # fsdp shares parameters out, and codes are none
STARTS_AT_BASE = False
LR = 1e-5
IS_FORWARD_ONLY = True


class Knobs(perturbation.Probes):
    name: Literal["qzo"]
    bits: Literal[2, 4, 8] = Field(4, description="Of a code.")
    group: int = Field(128, ge=8, le=4096, multiple_of=8, description="Inputs of a row that share a scale.")
    clip: float = Field(
        100.0, ge=1, le=1e4, description="Longest slope that is followed.", json_schema_extra={"log": True}
    )
    targets: Targets = Field("all", description="Which layers are quantised: a group, or the names of modules.")


def setup(knobs: Knobs, model: Any) -> nn.Module:
    """Codes and scales in the place of weights. Raises MethodError when no layer is meant."""
    from gpu_jobs.engine.quantised import Quantised

    choose_layers(knobs, model)
    chosen = {name for name, value in model.named_parameters() if value.requires_grad}
    for name, layer in list(model.named_modules()):
        if f"{name}.weight" in chosen and name.split(".")[0] not in HEADS:
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, Quantised(layer, knobs.bits, knobs.group))
    return model  # type: ignore[no-any-return]


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The scales, and a classifier's new head."""
    scales = {
        f"{layer.name}.scales": (layer.outputs, -(-layer.inputs // knobs.group))
        for layer in anatomy.layers(knobs.targets)
    }
    return scales | anatomy.head()


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """Packed codes instead of weights; while a layer is computed, its codes, their values and its weight."""
    layers = anatomy.layers(knobs.targets)
    is_fp32 = parts["weights"] == 4 * count(trained | anatomy.shapes)
    plain = (4 if is_fp32 else 2) * sum(layer.inputs * layer.outputs for layer in layers)
    coded = [size(trained[f"{layer.name}.scales"]) * knobs.group for layer in layers]
    return {
        "weights": parts["weights"] - plain + sum(coded) * knobs.bits // 8,
        "activations": parts["activations"] + (1 + 4 + 4 + 4) * max(coded),
    }


class Hooks(perturbation.ProbingHooks):
    """Moves the scales."""

    def gradients(self, step: contracts.Step) -> Tensor:
        """The mean of the probes' losses; slopes are clipped."""
        loss = super().gradients(step)
        steep = [slope.abs() > self.knobs.clip for _, slope in self.slopes]
        self.clipped = sum(part.float() for part in steep) / len(steep)
        self.slopes = [(seed, slope.clamp(-self.knobs.clip, self.knobs.clip)) for seed, slope in self.slopes]
        return loss

    def update(self, step: contracts.Step) -> None:
        """Delta <- max(Delta - lr g z, 1e-7)"""
        import torch

        from gpu_jobs.engine.quantised import SMALLEST

        with torch.no_grad():
            for place, (name, value) in enumerate(self.trained().items()):
                value.sub_(self.estimate(place, value).mul_(step.rate))
                if name.endswith(".scales"):
                    value.clamp_(min=SMALLEST)

    def readings(self) -> dict[str, float | Tensor]:
        return super().readings() | {"zo/clipped": self.clipped}
