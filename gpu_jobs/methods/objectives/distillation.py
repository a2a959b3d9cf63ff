"""Distillation: learns from a teacher's whole distribution, not from the right answer alone.

    L = (1 - w) CE(student, y) + w T^2 KL(softmax(t / T) || softmax(s / T))

over the targets, with logits t of the teacher and s of the student, temperature T; T^2 keeps the gradients' size
(Hinton et al. 2015, section 2). With `features` f, f MSE(h_s, h_t) of the last hidden states is added, which then must
be of one width. The teacher is frozen and has the student's tokenizer or classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, registry
from gpu_jobs.errors import MethodError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job

PAPER = "https://arxiv.org/abs/1503.02531"
TASKS = ("causal_lm", "masked_lm", "sequence_classification", "image_classification")
FORMS = ("text", "instruction")
NEEDS = ("teacher",)


class Knobs(registry.Knobs):
    name: Literal["distillation"]
    weight: float = Field(0.5, ge=0, le=1, description="Share w of the teacher's part.")
    temperature: float = Field(2.0, gt=0, le=100, description="T: higher values show more of what the teacher knows.")
    features: float = Field(0.0, ge=0, le=1e4, description="Weight f of the distance of the last hidden states.")


class Objective(contracts.Objective):
    """Keeps the teacher."""

    def begin(self, job: Job) -> None:
        super().begin(job)
        self.teacher = teacher_of(job)

    def loss_sum(self, model: nn.Module, batch: contracts.Batch) -> Tensor:
        import torch
        from torch.nn import functional as F

        from gpu_jobs.engine import objective

        with torch.no_grad():
            wanted = objective.outputs(self.teacher, batch, hidden=self.knobs.features > 0)
        found = objective.outputs(model, batch, hidden=self.knobs.features > 0)
        scores, targets = objective.flat(found, batch), objective.targets(batch)
        counts = targets != objective.IGNORED
        cross = F.cross_entropy(scores, targets, reduction="sum", ignore_index=objective.IGNORED)
        soft = soft_divergence(scores[counts], objective.flat(wanted, batch)[counts], self.knobs.temperature)
        loss: Tensor = (1 - self.knobs.weight) * cross + self.knobs.weight * soft
        if self.knobs.features:
            distance = F.mse_loss(found.hidden_states[-1].float(), wanted.hidden_states[-1].float())
            loss = loss + self.knobs.features * distance * counts.sum()
        return loss + objective.auxiliary_sum(model, found, batch)


def soft_divergence(scores: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student) summed over the targets; (targets, classes) each."""
    from torch.nn import functional as F

    log_student = (scores / temperature).log_softmax(-1)
    log_teacher = (wanted / temperature).log_softmax(-1)
    return F.kl_div(log_student, log_teacher, reduction="sum", log_target=True) * temperature**2


def teacher_of(job: Job) -> Any:
    """The spec's second model, frozen, where the student is. Raises MethodError when its outputs are others."""
    from gpu_jobs.engine import models

    spec = job.spec
    assert spec.teacher is not None
    teacher: Any = models.build(
        spec.teacher,
        context=job.context,
        seed=spec.seed,
        task=spec.resolved_task,
        vocab_size=job.data.vocab_size,
        labels=job.data.labels,
    )
    theirs, ours = (getattr(each.config, "vocab_size", 0) for each in (teacher, job.bare))
    if theirs != ours:
        raise MethodError(f"teacher must have the student's tokens: it has {theirs}, the student {ours}.")
    teacher.config.use_cache = False  # with it documents of one row would not stay apart
    return teacher.requires_grad_(False).eval().to(job.device)
