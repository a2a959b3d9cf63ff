"""ID3: unmasks entries step by step, the most important of those still masked first.

    score     D = |g| / (|w| + eps)^p
    step t    the entries with the largest D join, so that floor(budget t / T) are trained after it, t from 1 to T

(Agarwal et al. 2024, "Step-by-Step Unmasking for Parameter-Efficient Fine-tuning of Large Language Models"; score and
defaults as in the authors' released code, whose own division of the budget over the steps is uneven at its beginning).
With p = 0 an entry's gradient alone decides. An entry that has joined stays. The optimizer, whichever it is, keeps
state of the budget's entries only, and counts all steps for each, as where masked gradients are zero. No weight decays.
The whole gradient is made in each step, so that gradients take the memory of full fine-tuning. The result is saved as a
plain model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, entries
from gpu_jobs.adaptable import AdaptableKnobs, setup, sizes
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.shapes import Shapes, count

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["setup", "sizes"]
PAPER = "https://arxiv.org/abs/2408.14470"
IS_PARTIAL = True  # the first steps train few entries, which may all be in one weight
PARALLEL = ("ddp",)  # entries of all weights are compared, which no rank has under fsdp
LR = 1e-3


class Knobs(AdaptableKnobs):
    name: Literal["id3"]
    budget: int = Field(
        100_000, ge=1, le=10**12, description="Entries that are trained in the end.", json_schema_extra={"log": True}
    )
    power: float = Field(0.0, ge=0, le=2, description="p: how much small weights are preferred.")
    eps: float = Field(
        1e-3, gt=0, le=1, description="Added to the weight in the score.", json_schema_extra={"advanced": True}
    )


def values(knobs: Knobs, trained: Shapes) -> int:
    """The budget."""
    return min(knobs.budget, count(trained))


def optimized(knobs: Knobs, anatomy: Anatomy, trained: Shapes) -> Shapes:
    """A slot for each entry."""
    return {entries.SLOTS: (values(knobs, trained),)}


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """The slots beside the optimizer's state of them. Gradients are made of everything that may be trained."""
    return {"optimizer": parts["optimizer"] + entries.SLOT_BYTES * values(knobs, trained)}


class Hooks(entries.EntryHooks):
    """Fills slots step by step."""

    def count(self) -> int:
        return min(int(self.knobs.budget), sum(value.numel() for value in self.trained().values()))

    def active(self, done: int) -> int:
        """Entries that are trained in update `done`, counted from 1."""
        return self.count() * done // self.spec.steps

    def select(self, step: contracts.Step) -> None:
        import torch

        before, now = self.active(step.number), self.active(step.number + 1)
        self.now = now
        if now > before:
            places = self.best(now - before)
            self.slots.fill(torch.arange(before, now, device=places.device), places)

    def best(self, count: int) -> Tensor:
        """Places of the masked entries with the largest scores: the best of each weight's best."""
        import torch

        found, places, offsets = [], [], self.slots.offsets
        for name, weight, _, positions in self.slots.parts:
            if weight.grad is None:
                continue
            score = (weight.grad.abs() / (weight.data.abs() + self.knobs.eps) ** self.knobs.power).reshape(-1)
            score[positions] = -1.0  # no score is negative
            best = score.topk(min(count, len(score)))
            found.append(best.values)
            places.append(best.indices + offsets[name])
        order = torch.cat(found).topk(count).indices
        return torch.cat(places)[order]

    def readings(self) -> dict[str, Any]:
        return {"active/entries": float(self.now), "active/share": self.now / max(1, self.count())}
