"""What methods do in the loop. Both classes do the plain thing; a method's file overrides what it does otherwise.

Free of torch at import time: a file imports it where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job
    from gpu_jobs.spec import Training

Batch = dict[str, "Tensor"]


@dataclass(frozen=True)
class Step:
    """Update `number` (from 0) at learning rate `rate`, with the losses of its batch. All ranks must call alike.

    `backward()` adds the gradients of the mean loss to `.grad` and returns that loss, detached. `forward()` returns the
    same loss without gradients, in evaluation mode, as often as it is called: nothing is kept for a backward.
    """

    number: int
    rate: float
    backward: Callable[[], Tensor]
    forward: Callable[[], Tensor]


class Hooks:
    """How a strategy, or an adapter that changes while it is trained, takes part in the loop."""

    job: Job  # from `begin` on

    def __init__(self, knobs: Any, model: nn.Module, spec: Training) -> None:
        """`model` has the method on it already: what is to be trained requires gradients."""
        self.knobs, self.model, self.spec = knobs, model, spec
        self._initial = [name for name, value in model.named_parameters() if value.requires_grad]

    def begin(self, job: Job) -> None:
        """Everything is in place, weights on their device; a checkpoint has not been read yet."""
        self.job = job

    def trained(self) -> dict[str, nn.Parameter]:
        """All that may ever be trained, by name, whether or not it is at present: checkpoints hold it."""
        initial = set(self._initial)
        return {name: value for name, value in self.model.named_parameters() if value.requires_grad or name in initial}

    def optimized(self) -> dict[str, nn.Parameter]:
        """What the optimizer updates: the trained weights, or others that stand for them."""
        return self.trained()

    def trainable_values(self) -> int:
        """How many numbers are learned; `sizes` in the method's file says the same before the run."""
        return sum(value.numel() for value in self.trained().values())

    def before_step(self, step: Step) -> None:
        """Chooses what is trained in this step."""

    def gradients(self, step: Step) -> Tensor:
        """Makes the gradients and returns the loss, a scalar."""
        return step.backward()

    def update(self, step: Step) -> Tensor | None:
        """Changes the weights. Returns the gradient's length before clipping, None where there is no gradient."""
        from gpu_jobs.engine.loop import clip

        norm = clip(self.job)
        self.job.optimizer.step()
        self.job.optimizer.zero_grad(set_to_none=True)
        return norm

    def after_step(self, step: Step) -> None:
        """The weights are new."""

    def readings(self) -> dict[str, float | Tensor]:
        """Series of its changing state, by name ("active/layers"); asked after each step. Scalars."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """State that a resumed run needs beside weights, optimizer and random generators. No empty tensors."""
        return {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Takes `tensors` back, before weights and optimizer are read: parameters that grew must have grown here."""

    def finish(self) -> None:
        """Training is over, the model will be judged and saved."""


class Objective:
    """What is minimised: here the cross-entropy of the task's targets. `FORMS` are the forms of data it reads."""

    job: Job

    def __init__(self, knobs: Any, spec: Training) -> None:
        self.knobs, self.spec = knobs, spec

    def begin(self, job: Job) -> None:
        """The model is ready: a reference or a teacher can be made."""
        self.job = job

    def prepare(self, batch: Batch, *, training: bool) -> Batch:
        """What the model is given of a batch, still on the CPU; the same each time where `training` is False.

        Of a masked language model it hides a share of the tokens (`mask_share` of the knobs, 15 % as in BERT).
        """
        if self.spec.resolved_task != "masked_lm":
            return batch
        from gpu_jobs.engine import objective

        share = getattr(self.knobs, "mask_share", 0.15)
        return objective.masked(batch, self.job.data.tokenizer, share, training=training)

    def count(self, batch: Batch) -> int:
        """Targets of a prepared batch: what its loss is divided by."""
        from gpu_jobs.engine import objective

        return objective.count(batch)

    def loss_sum(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss summed over the targets, a scalar, so that parts of a batch add up exactly to the whole."""
        from gpu_jobs.engine import objective

        return objective.loss_sum(model, batch)

    def readings(self) -> dict[str, float | Tensor]:
        """Series beside the loss, by name; asked after each step. Scalars."""
        return {}

    def judge(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Sums over an evaluated batch, in float64: "loss", "correct", and "count", the targets they are divided by.

        The plain cross-entropy wherever there is one, so that runs of all objectives can be compared.
        """
        from gpu_jobs.engine import objective

        return objective.judge(model, batch)

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """More sums over an evaluated batch, by name; each is divided by the samples."""
        return {}

    @property
    def score(self) -> str:
        """What is told beside the loss: "perplexity", its exponential, or "accuracy"."""
        return "perplexity" if self.spec.resolved_task.endswith("_lm") else "accuracy"
