"""Directions drawn from seeds: what methods share that train by forward passes alone. Free of torch until it is used.

A direction is never kept. Each tensor's part of it is drawn again, alone, from a seed that the run's seed, the step,
the probe and the tensor's place among the trained ones decide: all ranks draw the same, and so does a resumed run.
Under FSDP each rank draws the whole tensor and keeps its rows.

The optimizer of the spec is there and is never stepped, so that it keeps no state; its rate, and where a method says
so its weight decay, are read. Nothing is clipped, because there is no gradient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gpu_jobs import contracts, registry
from gpu_jobs.adaptable import AdaptableKnobs
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes, size

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.spec import Training

Change = Callable[[int, "Tensor"], "Tensor"]  # of a trained tensor, by its place


class Probes(registry.Knobs):
    """How directions are tried."""

    eps: float = Field(1e-3, ge=1e-6, le=1, description="Length of the probe.", json_schema_extra={"log": True})
    probes: int = Field(1, ge=1, le=64, description="Directions that are tried in a step; each costs two forwards.")


class ProbeKnobs(AdaptableKnobs, Probes):
    """The same of a method that can train an adapter."""


def flops(knobs: Any, forward: int, backward: int) -> int:
    """Two forwards for each probe."""
    return 2 * int(knobs.probes) * forward


def memory(knobs: Any, parts: dict[str, int], anatomy: Anatomy, trained: Shapes) -> dict[str, int]:
    """A direction's part is alive between the forwards, when their activations are not."""
    return {"activations": max(parts["activations"], 4 * max(map(size, trained.values())))}


def seed_of(*numbers: int) -> int:
    """One seed of several numbers; neighbours differ even in the 32 bits of it that a CPU's generator uses."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest(), "big") >> 1


def draw(seed: int, place: int, like: Tensor) -> Tensor:
    """z ~ N(0, I) of this direction for the trained tensor at this place."""
    import torch

    generator = torch.Generator(like.device).manual_seed(seed_of(seed, place))
    z = torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
    if not hasattr(like, "device_mesh"):
        return z
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(z, like.device_mesh, like.placements, src_data_rank=None)  # type: ignore[attr-defined]


class ProbingHooks(contracts.Hooks):
    """The slope of the loss along each direction, by two forwards; `update` is the method's own."""

    slopes: list[tuple[int, Tensor]]  # of this step: the seed of each direction, and g

    def gradients(self, step: contracts.Step) -> Tensor:
        """The mean of the probes' losses."""
        import torch

        self.slopes, losses = [], []
        for probe in range(self.knobs.probes):
            seed = seed_of(self.spec.seed, step.number, probe)
            with torch.no_grad():
                self.above, self.below = self.losses(step, seed)
            self.slopes.append((seed, (self.above - self.below) / (2 * self.knobs.eps)))
            losses += [self.above, self.below]
        return torch.stack(losses).mean()

    def losses(self, step: contracts.Step, seed: int) -> tuple[Tensor, Tensor]:
        """L(theta + eps z) and L(theta - eps z); theta is moved, and moved back."""
        self.move(seed, self.knobs.eps)
        above = step.forward()
        self.move(seed, -2 * self.knobs.eps)
        below = step.forward()
        self.move(seed, self.knobs.eps)
        return above, below

    def losses_beside(self, step: contracts.Step, seed: int) -> tuple[Tensor, Tensor]:
        """The same of a theta that stays where it is, to the bit: the layers see another."""

        def along(length: float) -> Change:
            return lambda place, value: self.direction(seed, place, value).mul_(length).add_(value)

        return self.loss_as(step, along(self.knobs.eps)), self.loss_as(step, along(-self.knobs.eps))

    def loss_as(self, step: contracts.Step, change: Change) -> Tensor:
        """L(change(theta))"""
        with seen_as(self.model, self.trained(), change):
            return step.forward()

    def move(self, seed: int, length: float) -> None:
        """theta += length z"""
        for place, value in enumerate(self.trained().values()):
            value.add_(self.direction(seed, place, value).mul_(length))

    def direction(self, seed: int, place: int, value: Tensor) -> Tensor:
        """z for one tensor."""
        return draw(seed, place, value)

    def estimate(self, place: int, value: Tensor) -> Tensor:
        """The mean of g z over the probes, for one tensor: what is known of its gradient."""
        first, *others = self.slopes
        total = self.direction(first[0], place, value).mul_(first[1])
        for seed, slope in others:
            total.add_(self.direction(seed, place, value).mul_(slope))
        return total.div_(len(self.slopes))

    def decay(self, value: Tensor, rate: float) -> None:
        """theta -= rate wd theta, of matrices alone, as AdamW does it here."""
        strength = getattr(self.spec.optimizer, "weight_decay", 0.0)
        if strength and value.ndim >= 2:
            value.mul_(1 - rate * strength)

    def readings(self) -> dict[str, float | Tensor]:
        """Of the last probe."""
        return {"zo/slope": self.slopes[-1][1], "zo/above": self.above, "zo/below": self.below}


class Seen(dict[str, Any]):
    """A module's parameters as the model is to see them: computed when they are asked for, and not kept."""

    def __init__(self, own: Mapping[str, Any], places: Mapping[int, int], change: Change) -> None:
        super().__init__(own)
        self.places, self.change = places, change

    def __getitem__(self, name: str) -> Any:
        own = super().__getitem__(name)
        place = self.places.get(id(own))
        return own if place is None else self.change(place, own)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - this is what `get` means

    def items(self) -> Any:
        return [(name, self[name]) for name in self]

    def values(self) -> Any:
        return [self[name] for name in self]


@contextmanager
def seen_as(model: nn.Module, trained: Mapping[str, nn.Parameter], change: Change) -> Iterator[None]:
    """The block in which the model computes with `change(place, value)` instead of each trained value.

    The values themselves stay what they are. One that two layers share is changed for each of them.
    """
    places = {id(value): place for place, value in enumerate(trained.values())}
    layers = [layer for layer in model.modules() if any(id(own) in places for own in layer._parameters.values())]
    owned = [layer._parameters for layer in layers]
    try:
        for layer, own in zip(layers, owned, strict=True):
            layer.__dict__["_parameters"] = Seen(own, places, change)
        yield
    finally:
        for layer, own in zip(layers, owned, strict=True):
            layer.__dict__["_parameters"] = own


def refuse_compile(spec: Training) -> None:
    """Compiled code would read the weights themselves. Raises MethodError."""
    if spec.compile:
        raise MethodError(f"compile must be off here: method {spec.method.name!r} changes weights while they are read.")
