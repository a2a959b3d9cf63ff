"""Cross-entropy: the negative log-likelihood of the right token or class.

    L = -(1 - s) log p(y) - (s / K) sum_k log p(k)  +  z (log Z)^2

summed over the targets, with K classes or tokens, s the label smoothing (Szegedy et al. 2016, section 7), and
Z = sum_k exp(logit_k): z keeps the logits from drifting (Chowdhery et al. 2022, section 5, use z = 1e-4). Evaluation
always judges by the plain cross-entropy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs import contracts, registry

if TYPE_CHECKING:
    from torch import Tensor, nn

PAPER = "https://arxiv.org/abs/1512.00567"
TASKS = ("causal_lm", "masked_lm", "sequence_classification", "image_classification")
FORMS = ("text", "instruction")


class Knobs(registry.Knobs):
    name: Literal["cross_entropy"]
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share s of the target that is spread over all classes."
    )
    mask_share: float = Field(
        0.15,
        gt=0,
        lt=1,
        description="Share of the tokens that a masked language model has to find.",
        json_schema_extra={"advanced": True},
    )
    z_loss: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Weight z of (log Z)^2; 1e-4 steadies pretraining.",
        json_schema_extra={"advanced": True},
    )


class Objective(contracts.Objective):
    """With smoothing and z-loss while training."""

    def loss_sum(self, model: nn.Module, batch: contracts.Batch) -> Tensor:
        from torch.nn import functional as F

        from gpu_jobs.engine import objective

        if not self.knobs.label_smoothing and not self.knobs.z_loss:
            return objective.loss_sum(model, batch)
        found, targets = objective.outputs(model, batch), objective.targets(batch)
        scores = objective.flat(found, batch)
        loss = F.cross_entropy(
            scores, targets, reduction="sum", ignore_index=objective.IGNORED, label_smoothing=self.knobs.label_smoothing
        )
        counted = scores[targets != objective.IGNORED]
        total: Tensor = loss + self.knobs.z_loss * counted.logsumexp(-1).square().sum()
        return total + objective.auxiliary_sum(model, found, batch)
