"""Inverted hinge: unlearns a text by making another token likelier, and keeps the rest.

    L = 1 + p(x_t) - max_{v != x_t} p(v)  over what is to be forgotten  +  c CE over what is to be kept

(Cha et al. 2024, LoKU). The data of the run are forgotten, `retention_data` are kept; each batch draws as many samples
of these. The bound 0 <= L <= 2 keeps the loss from running away as gradient ascent does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs import contracts, registry

if TYPE_CHECKING:
    from torch import Tensor, nn

PAPER = "https://arxiv.org/abs/2408.06621"
TASKS = ("causal_lm",)
FORMS = ("text", "instruction")
NEEDS = ("retention_data",)
KEPT = "retain_"  # before the names of the batch that is kept


class Knobs(registry.Knobs):
    name: Literal["inverted_hinge"]
    forget: float = Field(1.0, ge=0, le=10, description="Weight of what is forgotten.")
    retain: float = Field(1.0, ge=0, le=10, description="Weight c of what is kept.")


class Objective(contracts.Objective):
    """Two batches a step."""

    def prepare(self, batch: contracts.Batch, *, training: bool) -> contracts.Batch:
        """Draws what is to be kept from the process's generator, which checkpoints hold."""
        import torch

        if not training or self.job.retention is None:
            return batch
        source = self.job.retention.train
        drawn = torch.randint(len(source), (len(batch["input_ids"]),)).numpy()
        return batch | {f"{KEPT}{name}": value for name, value in source.batch(drawn).items()}

    def loss_sum(self, model: nn.Module, batch: contracts.Batch) -> Tensor:
        from gpu_jobs.engine import objective

        kept = {name.removeprefix(KEPT): value for name, value in batch.items() if name.startswith(KEPT)}
        wrong = {name: value for name, value in batch.items() if not name.startswith(KEPT)}
        targets = objective.targets(wrong)
        counts = targets != objective.IGNORED
        hinge = inverted_hinge(objective.scores(model, wrong)[counts], targets[counts]).sum()
        known = objective.loss_sum(model, kept) / (objective.targets(kept) != objective.IGNORED).sum()
        total: Tensor = self.knobs.forget * hinge + self.knobs.retain * known * counts.sum()
        return total

    def count(self, batch: contracts.Batch) -> int:
        return super().count({"labels": batch["labels"]})


def inverted_hinge(scores: Tensor, targets: Tensor) -> Tensor:
    """(targets,) 1 + p(x) - max over the others, of logits (targets, vocabulary)."""
    probabilities = scores.softmax(-1)
    own = probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    others = probabilities.scatter(-1, targets.unsqueeze(-1), 0.0)
    return 1 + own - others.amax(-1)
