"""Training single entries of a model's weights: what sparse strategies share. Free of torch until it is used.

The optimizer is given one parameter with a slot for each trained entry, so that it keeps state of these alone. It has
one dimension, like a bias: optimizers that treat matrices otherwise, by decay or by factors, treat it like one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from gpu_jobs import contracts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.engine.job import Job
    from gpu_jobs.spec import Training

SLOTS = "entries"  # the name of the optimizer's parameter
SLOT_BYTES = 4 + 4 + 8  # value and start in float32, the place in 64 bits


class Part(NamedTuple):
    """The entries of one weight: their slots, and their positions in it when it is flat."""

    name: str
    weight: nn.Parameter
    slots: Tensor
    positions: Tensor


class Entries:
    """Slots for entries of these weights. A slot that is free stands still: its value and its gradient are zero."""

    def __init__(self, weights: Mapping[str, nn.Parameter], slots: int) -> None:
        import torch

        self.weights = weights
        first = next(iter(weights.values()))
        self.values = torch.nn.Parameter(first.new_zeros(slots))
        self.place = torch.full(
            (slots,), -1, dtype=torch.int64, device=first.device
        )  # in all weights, one after another
        self.start = first.new_zeros(slots)  # what the entry was when its slot was filled
        sizes = [weight.numel() for weight in weights.values()]
        self.offsets = dict(zip(weights, accumulate(sizes, initial=0), strict=False))
        self.arrange()

    def arrange(self) -> None:
        """Sorts the slots by weight; to be called when places have changed."""
        import torch

        order = self.place.argsort(stable=True)
        bounds = torch.tensor([*self.offsets.values(), torch.iinfo(torch.int64).max], device=self.place.device)
        cuts = torch.searchsorted(self.place[order], bounds).tolist()
        self.parts = [
            Part(
                name, weight, (slots := order[cuts[number] : cuts[number + 1]]), self.place[slots] - self.offsets[name]
            )
            for number, (name, weight) in enumerate(self.weights.items())
        ]

    def fill(self, slots: Tensor, places: Tensor) -> None:
        """Gives these slots to other entries, whose values stay what they are."""
        self.place[slots] = places
        self.arrange()
        taken = self.place.new_zeros(len(self.place), dtype=bool)  # type: ignore[call-overload]
        taken[slots] = True
        for _, weight, own, positions in self.parts:
            new = taken[own]
            self.start[own[new]] = weight.data.view(-1)[positions[new]]
            self.values.data[own[new]] = self.start[own[new]]

    def drop(self, slots: Tensor) -> None:
        """Puts the entries of these slots back to what they were, and frees the slots."""
        dropped = self.place.new_zeros(len(self.place), dtype=bool)  # type: ignore[call-overload]
        dropped[slots] = True
        for _, weight, own, positions in self.parts:
            gone = dropped[own]
            weight.data.view(-1)[positions[gone]] = self.start[own[gone]]
        self.release(slots)

    def release(self, slots: Tensor) -> None:
        """Frees these slots: their entries stay what they are, and are trained no more."""
        self.place[slots], self.start[slots], self.values.data[slots] = -1, 0.0, 0.0
        self.arrange()

    def gather(self) -> None:
        """Gives the slots the gradients of their entries, and frees the weights' own."""
        import torch

        self.values.grad = torch.zeros_like(self.values)
        for _, weight, slots, positions in self.parts:
            if weight.grad is not None:
                self.values.grad[slots] = weight.grad.reshape(-1)[positions]
                weight.grad = None

    def scatter(self) -> None:
        """Puts the slots' values into the weights."""
        for _, weight, slots, positions in self.parts:
            weight.data.view(-1)[positions] = self.values.data[slots]


class EntryHooks(contracts.Hooks):
    """Gives the optimizer the slots instead of the weights; `count` and `chosen_weights` say how many, and of what."""

    def __init__(self, knobs: Any, model: nn.Module, spec: Training) -> None:
        super().__init__(knobs, model, spec)
        self.entries: Entries | None = None

    def count(self) -> int:
        """Slots."""
        raise NotImplementedError

    def optimized(self) -> dict[str, nn.Parameter]:
        if self.entries is None:
            whole = self.whole()
            self.entries = Entries({n: v for n, v in self.trained().items() if n not in whole}, self.count())
        return {SLOTS: self.entries.values} | self.whole()

    def whole(self) -> dict[str, nn.Parameter]:
        """What is trained beside the entries, and whole."""
        return {}

    def trainable_values(self) -> int:
        return self.count() + sum(value.numel() for value in self.whole().values())

    def begin(self, job: Job) -> None:
        super().begin(job)
        self.optimized()

    def update(self, step: contracts.Step) -> Tensor:
        """Clips by the length of the gradient of the trained entries."""
        import torch

        from gpu_jobs.engine.loop import clip

        entries = self.slots
        with torch.no_grad():
            self.select(step)
            entries.gather()
        norm = clip(self.job)
        self.job.optimizer.step()
        self.job.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            entries.scatter()
        return norm

    @property
    def slots(self) -> Entries:
        """The entries that are trained."""
        assert self.entries is not None
        return self.entries

    def select(self, step: contracts.Step) -> None:
        """Fills and frees slots; the gradients of all weights are there."""

    def forget(self, slots: Tensor) -> None:
        """Makes the optimizer's state of these slots zero."""
        for value in self.job.optimizer.state.get(self.slots.values, {}).values():
            if getattr(value, "shape", None) == self.slots.values.shape:
                value[slots] = 0

    def tensors(self) -> dict[str, Tensor]:
        entries = self.slots
        return {"place": entries.place, "start": entries.start, "values": entries.values.data}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        for name, value in EntryHooks.tensors(self).items():
            value.copy_(tensors[name])
        self.slots.arrange()
