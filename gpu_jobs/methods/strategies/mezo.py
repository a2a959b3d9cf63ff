"""MeZO: fine-tuning with forward passes alone.

    z ~ N(0, I) from a seed;  g = (L(theta + eps z) - L(theta - eps z)) / (2 eps);  theta <- theta - lr (g z + wd theta)

(Malladi et al. 2023, algorithm 1: SPSA whose z is drawn again from its seed instead of kept). No gradient is ever
allocated, so that memory is that of inference. With n probes the updates are averaged. As in the authors' code, norms
and biases do not decay. It brings its own update: of the optimizer only the rate and its weight decay are used, and
clip_norm has nothing to clip. Rates are small: 1e-6 for all weights, 1e-4 for adapters.

L may be any number, also one without a gradient: with `target` "error" it is the share of wrong targets (the paper
does so with accuracy and F1). It moves in jumps, so that eps must be long enough to change some answers. The series
train/loss is L.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs import contracts, perturbation
from gpu_jobs.adaptable import setup, sizes
from gpu_jobs.errors import MethodError
from gpu_jobs.perturbation import flops, memory

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job

__all__ = ["flops", "memory", "setup", "sizes"]
PAPER = "https://arxiv.org/abs/2305.17333"
LR = 1e-6
IS_FORWARD_ONLY = True


class Knobs(perturbation.ProbeKnobs):
    name: Literal["mezo"]
    target: Literal["loss", "error"] = Field(
        "loss", description="What is minimised: the objective, or the share of wrong targets."
    )


class Hooks(perturbation.ProbingHooks):
    """Two losses a probe, and an update that draws the direction again."""

    def begin(self, job: Job) -> None:
        """Raises MethodError where targets are not what the objective counts."""
        super().begin(job)
        if self.knobs.target == "loss":
            return
        if self.spec.objective.name != "cross_entropy":
            raise MethodError(
                f"method.target must be 'loss' with objective {self.spec.objective.name!r}: only those of "
                "'cross_entropy' are right or wrong."
            )
        job.loss_sum = self.errors

    def errors(self, model: nn.Module, batch: contracts.Batch) -> Tensor:
        """Wrong targets of a batch."""
        judged = self.job.objective.judge(model, batch)
        return judged["count"] - judged["correct"]

    def update(self, step: contracts.Step) -> None:
        """theta <- theta - lr (g z + wd theta)"""
        import torch

        with torch.no_grad():
            for place, value in enumerate(self.trained().values()):
                change = self.estimate(place, value)
                self.decay(value, step.rate)
                value.sub_(change.mul_(step.rate))
