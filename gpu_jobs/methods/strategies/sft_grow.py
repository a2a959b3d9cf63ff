"""Sparse fine-tuning, grown: trains a fixed number of entries of each weight, and moves them to where they are needed.

    W = W_0 + Delta                 Delta has density x (in x out) entries other than zero
    every K steps                   drop the share rho (1 - t/T) of them with the smallest |Delta|: W is W_0 there again
                                    grow as many where the gradient, summed over A steps, is longest: Delta starts at 0

(Ansell et al. 2024, "Scaling Sparse Fine-Tuning to Large Language Models"; growth by gradient, as RigL does, with the
defaults of the authors' released code; its other estimate, from SM3's state, is left out). As there, gradients are
summed for as many candidates as there are entries, chosen by the first of the A gradients. Other than there, the first
entries are those with the longest gradient in the first step instead of random ones, an entry that was just dropped
does not grow in the same step, and moments begin at zero. The optimizer keeps state of the entries only, and none of
them decays; the whole gradient of the targeted weights is made in each step. A classifier's new head is trained whole.
The result is saved as a plain model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, entries, registry
from gpu_jobs.adaptable import choose_layers
from gpu_jobs.anatomy import HEADS, Anatomy, Targets
from gpu_jobs.shapes import Shapes, count, size

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job

PAPER = "https://arxiv.org/abs/2401.16405"
PARALLEL = ("ddp",)  # entries of a weight are compared, which no rank has whole under fsdp
IS_PARTIAL = True  # a step that moves entries may leave a weight's only one where it was
LR = 1e-3


class Knobs(registry.Knobs):
    name: Literal["sft_grow"]
    density: float = Field(
        0.01, gt=0, le=1, description="Share of each weight that is trained.", json_schema_extra={"log": True}
    )
    every: int = Field(20, ge=1, le=100_000, description="Steps between moves.", json_schema_extra={"log": True})
    rate: float = Field(0.2, ge=0, le=1, description="Share of the entries that the first moves move; falls to zero.")
    accumulation: int = Field(5, ge=1, le=1000, description="Steps whose gradients decide where entries grow.")
    targets: Targets = Field("all", description="Which layers are trained: a group, or the names of modules.")


def setup(knobs: Knobs, model: Any) -> nn.Module:
    """The weights of the targeted layers take part. Raises MethodError when there are none."""
    return choose_layers(knobs, model)


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The weights whose entries are trained, and a classifier's new head."""
    names = [f"{layer.name}.weight" for layer in anatomy.layers(knobs.targets)]
    return {name: anatomy.shapes[name] for name in names} | anatomy.head()


def quota(knobs: Knobs, values: int) -> int:
    """Entries of a weight of so many values."""
    return max(1, int(knobs.density * values))


def values(knobs: Knobs, trained: Shapes) -> int:
    """The entries of all weights, and all of a head."""
    return slots(knobs, trained) + count(head(trained))


def slots(knobs: Knobs, trained: Shapes) -> int:
    """The entries of all weights."""
    return sum(quota(knobs, size(shape)) for name, shape in trained.items() if name not in head(trained))


def head(trained: Any) -> Any:
    """What is trained whole."""
    return {name: value for name, value in trained.items() if name.split(".")[0] in HEADS}


def optimized(knobs: Knobs, anatomy: Anatomy, trained: Shapes) -> Shapes:
    """A slot for each entry, and the head."""
    own: Shapes = {entries.SLOTS: (slots(knobs, trained),)}
    return own | dict(head(trained))


def memory(knobs: Knobs, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """Beside the optimizer's state the slots, and a candidate with its sum for each."""
    return {"optimizer": parts["optimizer"] + (entries.SLOT_BYTES + 8 + 4) * slots(knobs, trained)}


class Hooks(entries.EntryHooks):
    """Each weight has a row of slots, and as many candidates for them."""

    moved = 0

    def count(self) -> int:
        return sum(quota(self.knobs, v.numel()) for n, v in self.trained().items() if n not in self.whole())

    def whole(self) -> dict[str, nn.Parameter]:
        return dict(head(self.trained()))

    def begin(self, job: Job) -> None:
        super().begin(job)
        self.candidates = self.slots.place.clone()
        self.sums = self.slots.start.clone()

    def rows(self) -> list[tuple[nn.Parameter, slice, int]]:
        """Each weight with its slots, and where it begins among all weights."""
        found, first = [], 0
        for name, weight in self.slots.weights.items():
            last = first + quota(self.knobs, weight.numel())
            found.append((weight, slice(first, last), self.slots.offsets[name]))
            first = last
        return found

    def select(self, step: contracts.Step) -> None:
        self.moved, every = 0, self.knobs.every
        if step.number == 0:
            self.propose()
            self.slots.fill(_all(self.candidates), self.candidates)
            return
        turn = (step.number - 1) % every - (every - min(self.knobs.accumulation, every))
        if turn == 0:
            self.propose()
        elif turn > 0:
            self.add()
        if step.number % every == 0:
            self.move(self.knobs.rate * (1 - step.number / self.spec.steps))

    def propose(self) -> None:
        """The candidates: where the gradient is longest."""
        for weight, row, offset in self.rows():
            gradient = _gradient(weight)
            best = gradient.abs().topk(row.stop - row.start).indices
            self.candidates[row], self.sums[row] = best + offset, gradient[best]

    def add(self) -> None:
        """Adds this step's gradient to the candidates' sums."""
        for weight, row, offset in self.rows():
            self.sums[row] += _gradient(weight)[self.candidates[row] - offset]

    def move(self, share: float) -> None:
        """Drops the entries that have changed least, and grows the best candidates that are no entries yet."""
        import torch

        dropped, grown = [], []
        for _, row, _ in self.rows():
            fresh = ~torch.isin(self.candidates[row], self.slots.place[row])
            places, sums = self.candidates[row][fresh], self.sums[row][fresh]
            count = min(int(share * (row.stop - row.start)), len(places))
            change = (self.slots.values.data[row] - self.slots.start[row]).abs()
            dropped.append(change.topk(count, largest=False).indices + row.start)
            grown.append(places[sums.abs().topk(count).indices])
        slots = torch.cat(dropped)
        self.slots.drop(slots)
        self.forget(slots)
        self.slots.fill(slots, torch.cat(grown))
        self.moved = len(slots)

    def readings(self) -> dict[str, Any]:
        return {"active/entries": float(self.count()), "active/moved": float(self.moved)}

    def tensors(self) -> dict[str, Tensor]:
        return super().tensors() | {"candidates": self.candidates, "sums": self.sums}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        super().restore(tensors)
        self.candidates, self.sums = tensors["candidates"], tensors["sums"]


def _all(values: Tensor) -> Tensor:
    import torch

    return torch.arange(len(values), device=values.device)


def _gradient(weight: nn.Parameter) -> Tensor:
    """Flat; zero where none reached it."""
    import torch

    return torch.zeros_like(weight).flatten() if weight.grad is None else weight.grad.reshape(-1)
