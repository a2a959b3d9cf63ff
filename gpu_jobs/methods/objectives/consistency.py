"""Consistency: two passes of a model that computes at random shall agree.

    L = CE(p1, y) + CE(p2, y) + (a / 2) (KL(p1 || p2) + KL(p2 || p1))

(Zuo et al. 2022, THOR, whose passes draw other experts; the same with dropout is R-Drop, Liang et al. 2021). A model
that computes nothing at random has two equal passes: the loss is then twice the cross-entropy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs import contracts, registry

if TYPE_CHECKING:
    from torch import Tensor, nn

PAPER = "https://arxiv.org/abs/2110.04260"
TASKS = ("causal_lm", "masked_lm", "sequence_classification", "image_classification")
FORMS = ("text", "instruction")


class Knobs(registry.Knobs):
    name: Literal["consistency"]
    alpha: float = Field(1.0, ge=0, le=10, description="Weight a of the divergence of the passes.")


class Objective(contracts.Objective):
    """Two passes through the model."""

    def loss_sum(self, model: nn.Module, batch: contracts.Batch) -> Tensor:
        from torch.nn import functional as F

        from gpu_jobs.engine import objective

        targets = objective.targets(batch)
        counts = targets != objective.IGNORED
        passes = [objective.outputs(model, batch) for _ in range(2)]
        one, two = (objective.flat(found, batch)[counts].log_softmax(-1) for found in passes)
        cross = F.nll_loss(one, targets[counts], reduction="sum") + F.nll_loss(two, targets[counts], reduction="sum")
        routers = sum(objective.auxiliary_sum(model, found, batch) for found in passes)
        loss: Tensor = cross + self.knobs.alpha / 2 * divergence(one, two) + routers
        return loss


def divergence(one: Tensor, two: Tensor) -> Tensor:
    """KL(p1 || p2) + KL(p2 || p1) summed over the targets, of log-probabilities (targets, classes)."""
    return ((one.exp() - two.exp()) * (one - two)).sum()
