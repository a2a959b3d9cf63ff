"""Intrinsic dimension: trains d numbers, from which a fixed random projection makes the change of all weights.

    theta = theta_0 + P theta_d                    P (D, d) random, from the run's seed, never kept; theta_d begins at 0
    theta_l = theta_0,l + lambda_l (P theta_d)_l   with `said`: one scale for each tensor, which begins at 1
    grad_d = P^T grad

(Li et al. 2018, "Measuring the Intrinsic Dimension of Objective Landscapes"; SAID: Aghajanyan et al. 2021, "Intrinsic
Dimensionality Explains the Effectiveness of Language Model Fine-Tuning"). The smallest d that reaches 90 % of what full
training does is the task's intrinsic dimension. The rows of P are drawn again from the seed a piece at a time, twice in
a step; kinds are in `engine/projection.py`. Columns have length 1 on average only; Fastfood's blocks are as wide as d
asks, and each is normed by its own G. The scales of SAID are counted beside d; that each tensor, not each block, has
one is unchecked against the paper.

Any optimizer works: it is given theta_d and the scales. Each step adds P (theta_d,new - theta_d,old) to the weights, so
that theta_0 need not be kept either. Gradients of all weights are made, and are gone after the step. The result is
saved as a plain model, so that the file is no smaller for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts
from gpu_jobs.adaptable import AdaptableKnobs, setup, sizes
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.projection import Projection
    from gpu_jobs.spec import Training

__all__ = ["setup", "sizes"]
PAPER = "https://arxiv.org/abs/1804.08838"
PARALLEL = ("ddp",)  # gradients of whole tensors are projected, which no rank has under fsdp
IS_PARTIAL = True  # a sparse projection may leave a small tensor where it is
LR = 1e-2
INNER, SCALES = "theta_d", "lambda"  # the optimizer's parameters


class Knobs(AdaptableKnobs):
    name: Literal["intrinsic_dim"]
    d: int = Field(200, ge=1, le=10_000_000, description="Numbers that are trained.", json_schema_extra={"log": True})
    projection: Literal["fastfood", "dense", "sparse"] = Field(
        "fastfood", description="Kind of P; a dense one takes D x d steps to draw."
    )
    said: bool = Field(False, description="Trains a scale for each tensor, too.")


def values(knobs: Knobs, trained: Shapes) -> int:
    """d, and the scales."""
    return knobs.d + (len(trained) if knobs.said else 0)


def optimized(knobs: Knobs, anatomy: Anatomy, trained: Shapes) -> Shapes:
    """theta_d, and the scales."""
    scales: Shapes = {SCALES: (len(trained),)} if knobs.said else {}
    return {INNER: (knobs.d,)} | scales


class Hooks(contracts.Hooks):
    """Gives the optimizer theta_d, and moves the weights by what it does to it."""

    def __init__(self, knobs: Any, model: nn.Module, spec: Training) -> None:
        super().__init__(knobs, model, spec)
        self.total = sum(value.numel() for value in self.trained().values())
        self.stand_ins: dict[str, nn.Parameter] = {}
        if knobs.d > self.total:
            raise MethodError(f"method.d must not exceed the weights that it stands for: {knobs.d} > {self.total}.")

    def trainable_values(self) -> int:
        return sum(value.numel() for value in self.optimized().values())

    def optimized(self) -> dict[str, nn.Parameter]:
        import torch

        if not self.stand_ins:
            weights = self.trained().values()
            like = next(iter(weights)).detach()
            self.stand_ins[INNER] = torch.nn.Parameter(like.new_zeros(self.knobs.d))
            if self.knobs.said:
                self.stand_ins[SCALES] = torch.nn.Parameter(like.new_ones(len(weights)))
        return self.stand_ins

    @property
    def projection(self) -> Projection:
        """P"""
        from gpu_jobs.engine.projection import Projection

        return Projection(self.knobs.projection, self.spec.seed, self.total, self.knobs.d)

    def scaled(self, place: int) -> Tensor:
        """lambda_l theta_d"""
        inner = self.stand_ins[INNER].detach()
        return inner * self.stand_ins[SCALES].detach()[place] if self.knobs.said else inner.clone()

    def update(self, step: contracts.Step) -> Tensor:
        """A step of the optimizer in the small space, and the same step in the large one."""
        import torch

        from gpu_jobs.engine.loop import clip

        with torch.no_grad():
            self.gather()
            before = [self.scaled(place) for place in range(len(self.trained()))]
        norm = clip(self.job)
        self.job.optimizer.step()
        self.job.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for place, value in enumerate(self.trained().values()):
                change = self.projection.apply(place, self.scaled(place) - before[place], value.numel())
                value.add_(change.view_as(value))
        return norm

    def gather(self) -> None:
        """grad_d = sum of lambda_l P_l^T grad_l, and of lambda_l (P theta_d)_l . grad_l; frees the weights' own."""
        import torch

        inner = self.stand_ins[INNER]
        inner.grad, slopes = torch.zeros_like(inner), []
        for place, value in enumerate(self.trained().values()):
            gradient = torch.zeros_like(value) if value.grad is None else value.grad
            value.grad = None
            back = self.projection.transpose(place, gradient.flatten())
            slopes.append(back @ inner.detach())  # (P theta_d) . grad = theta_d . P^T grad
            inner.grad += back * self.stand_ins[SCALES].detach()[place] if self.knobs.said else back
        if self.knobs.said:
            self.stand_ins[SCALES].grad = torch.stack(slopes)

    def readings(self) -> dict[str, float | Tensor]:
        return {"active/theta_d_norm": self.stand_ins[INNER].detach().norm()}

    def tensors(self) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in self.stand_ins.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        for name, value in self.tensors().items():
            value.copy_(tensors[name])
