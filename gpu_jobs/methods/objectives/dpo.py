"""DPO: prefers the better of two answers, without a reward model.

    L = -log sigmoid(beta ((log pi(c) - log ref(c)) - (log pi(r) - log ref(r))))

for a prompt with a chosen answer c and a rejected one r, log-probabilities summed over the answer (Rafailov et al.
2023, equation 7). The reference is the model as the run found it: the base under an adapter, else a frozen copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs import contracts, registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job

PAPER = "https://arxiv.org/abs/2305.18290"
TASKS = ("causal_lm",)
FORMS = ("preference",)


class Knobs(registry.Knobs):
    name: Literal["dpo"]
    beta: float = Field(
        0.1,
        ge=1e-3,
        le=10,
        description="How strongly the model is held to the reference.",
        json_schema_extra={"log": True},
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="Share of the preferences that are taken to be the wrong way round.",
        json_schema_extra={"advanced": True},
    )


class Objective(contracts.Objective):
    """Keeps the reference."""

    score = "accuracy"  # the share of pairs of which the better answer has gained more

    def begin(self, job: Job) -> None:
        from gpu_jobs.engine.reference import Reference

        super().begin(job)
        self.reference = Reference(job)

    def count(self, batch: contracts.Batch) -> int:
        """Pairs."""
        return len(batch["input_ids"]) // 2

    def margins(self, model: nn.Module, batch: contracts.Batch) -> Tensor:
        """(pairs,) beta times how much more the chosen answer has gained than the rejected one."""
        gained = answer_log_probs(model, batch) - self.reference.of(lambda frozen: answer_log_probs(frozen, batch))
        chosen, rejected = gained.chunk(2)
        margins: Tensor = self.knobs.beta * (chosen - rejected)
        return margins

    def loss_sum(self, model: nn.Module, batch: contracts.Batch) -> Tensor:
        return preference_loss(self.margins(model, batch), self.knobs.label_smoothing).sum()

    def judge(self, model: nn.Module, batch: contracts.Batch) -> dict[str, Tensor]:
        import torch

        margins = self.margins(model, batch).double()
        count = torch.tensor(float(len(margins)), dtype=torch.float64, device=margins.device)
        return {"loss": preference_loss(margins, 0.0).sum(), "correct": (margins > 0).sum().double(), "count": count,
                "margin": margins.sum()}  # fmt: skip


def preference_loss(margins: Tensor, smoothing: float) -> Tensor:
    """(pairs,) -(1 - s) log sigmoid(m) - s log sigmoid(-m)"""
    from torch.nn import functional as F

    return -(1 - smoothing) * F.logsigmoid(margins) - smoothing * F.logsigmoid(-margins)


def answer_log_probs(model: nn.Module, batch: contracts.Batch) -> Tensor:
    """(rows,) the log-probability of each row's answer."""
    from gpu_jobs.engine import objective

    return objective.token_log_probs(objective.logits_of(model, batch), batch["labels"])[0].sum(-1)
