"""Sparse MeZO: forward passes alone, along directions that leave large weights where they are.

    m = 1 where |theta| <= h_l, else 0;  z ~ N(0, I) from a seed
    g = (L(theta + eps m z) - L(theta - eps m z)) / (2 eps);  theta <- theta - lr g m z

(Liu et al. 2024: slopes along large weights disturb more than they help). h_l, one for each tensor, is a percentile of
|theta| before the first step; the mask follows theta and is made again wherever a layer reads its weights, never kept,
so that theta itself is not moved for the probes. A weight that grows beyond h_l stands still from then on. Masked or
not, nothing decays; of the optimizer only the rate is used.

Ours: a tensor whose values are all of one size (norms of ones, new biases, the zeros that adapters begin with) has no
small ones and takes part whole, and so does all at a share of 1. Default share and which tensors the authors mask are
unchecked against the paper.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, perturbation
from gpu_jobs.adaptable import setup, sizes
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.perturbation import flops
from gpu_jobs.shapes import Shapes, size

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job
    from gpu_jobs.spec import Training

__all__ = ["flops", "setup", "sizes"]
PAPER = "https://arxiv.org/abs/2402.15751"
PARALLEL = ("ddp",)  # fsdp puts other objects in the place of weights while they are read
LR = 1e-6
IS_FORWARD_ONLY = True


class Knobs(perturbation.ProbeKnobs):
    name: Literal["sparse_mezo"]
    share: float = Field(0.25, ge=0.05, le=1, description="Share of each tensor that is trained: the smallest values.")


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """While a layer is computed: its weights as they are seen, z, and the mask."""
    return {"activations": parts["activations"] + 9 * max(map(size, trained.values()))}


def threshold(value: Tensor, share: float) -> float:
    """h: the size of the largest value that still belongs to this share of the smallest."""
    sizes = value.detach().abs().flatten()
    if share == 1 or sizes.min() == sizes.max():
        return math.inf
    return float(sizes.kthvalue(math.ceil(share * len(sizes))).values)


class Hooks(perturbation.ProbingHooks):
    """Probes weights as layers read them."""

    def __init__(self, knobs: Any, model: nn.Module, spec: Training) -> None:
        super().__init__(knobs, model, spec)
        perturbation.refuse_compile(spec)
        self.thresholds: list[float] = []

    def begin(self, job: Job) -> None:
        super().begin(job)
        self.measure()

    def measure(self) -> None:
        """Sets the thresholds, from the weights before the first step."""
        self.thresholds = [threshold(value, self.knobs.share) for value in self.trained().values()]

    def direction(self, seed: int, place: int, value: Tensor) -> Tensor:
        """m z"""
        return super().direction(seed, place, value).mul_(value.abs() <= self.thresholds[place])

    def losses(self, step: contracts.Step, seed: int) -> tuple[Tensor, Tensor]:
        return self.losses_beside(step, seed)

    def update(self, step: contracts.Step) -> None:
        """theta <- theta - lr g m z"""
        import torch

        with torch.no_grad():
            for place, value in enumerate(self.trained().values()):
                value.sub_(self.estimate(place, value).mul_(step.rate))
