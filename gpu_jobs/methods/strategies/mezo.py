"""MeZO: fine-tuning with forward passes alone.

    z ~ N(0, I) from a seed;  g = (L(theta + eps z) - L(theta - eps z)) / (2 eps);  theta <- theta - lr (g z + wd theta)

(Malladi et al. 2023, algorithm 1: SPSA whose z is drawn again from its seed instead of kept). No gradient is ever
allocated, so that memory is that of inference. With n probes the updates are averaged. It brings its own update: of the
optimizer only the rate and its weight decay are used. Rates are small: 1e-6 for all weights, 1e-4 for adapters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs import contracts
from gpu_jobs.adaptable import AdaptableKnobs, setup, sizes
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["setup", "sizes"]
PAPER = "https://arxiv.org/abs/2305.17333"
LR = 1e-6


class Knobs(AdaptableKnobs):
    name: Literal["mezo"]
    eps: float = Field(1e-3, ge=1e-6, le=1, description="Length of the probe.", json_schema_extra={"log": True})
    probes: int = Field(1, ge=1, le=64, description="Directions that are tried in a step; each costs two forwards.")


def flops(knobs: Knobs, forward: int, backward: int) -> int:
    """Two forwards for each probe."""
    return 2 * knobs.probes * forward


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """No gradients and no state; activations of one layer at a time."""
    return {"gradients": 0, "optimizer": 0, "activations": parts["activations"] // max(1, anatomy.blocks)}


class Hooks(contracts.Hooks):
    """Two losses a probe, and an update that draws the direction again."""

    def gradients(self, step: contracts.Step) -> Tensor:
        """The mean of the probes' losses; `self.slopes` keeps (seed, g) of each."""
        import torch

        losses, self.slopes = [], []
        for probe in range(self.knobs.probes):
            seed = (self.spec.seed * 1_000_003 + step.number) * 64 + probe
            with torch.no_grad():
                self.move(seed, self.knobs.eps)
                above = step.forward()
                self.move(seed, -2 * self.knobs.eps)
                below = step.forward()
                self.move(seed, self.knobs.eps)
            self.slopes.append((seed, (above - below) / (2 * self.knobs.eps)))
            losses += [above, below]
        return torch.stack(losses).mean()

    def update(self, step: contracts.Step) -> None:
        import torch

        decay = getattr(self.spec.optimizer, "weight_decay", 0.0)
        with torch.no_grad():
            if decay:
                for value in self.trained().values():
                    value.mul_(1 - step.rate * decay)
            for seed, slope in self.slopes:
                self.move(seed, -step.rate * slope / len(self.slopes))

    def move(self, seed: int, length: float | Tensor) -> None:
        """theta += length z, with z drawn from the seed tensor by tensor: one tensor of z is alive at a time."""
        for value, z in self.directions(seed):
            value.add_(z * length)

    def directions(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Each trained tensor with its part of z."""
        import torch

        device = self.job.device
        generator = torch.Generator(device).manual_seed(seed)
        for value in self.trained().values():
            yield value, torch.randn(value.shape, generator=generator, device=device, dtype=value.dtype)

    def readings(self) -> dict[str, float | Tensor]:
        return {"zo/slope": self.slopes[-1][1]}
