"""What mergers work on: the experts' differences from their base, piece by piece. Free of torch until it is used.

A task vector, or delta, is an expert's weights less those of the base. A weight is worked on in pieces of whole rows,
so that memory does not grow with the model; what a method must know of all of it first, it learns in passes over the
pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field

from gpu_jobs import registry

if TYPE_CHECKING:
    from torch import Generator, Tensor

Scope: TypeAlias = Literal["global", "tensor"]
Values: TypeAlias = "Callable[[Chunk], list[Tensor]]"  # one tensor for each expert
SCOPE = "What counts as one: global, each expert's whole task vector; tensor, each weight by itself."
DENSITY = "Share of each task vector's entries that is kept: the largest by magnitude."


class MergerKnobs(registry.Knobs):
    """What every merger can be asked."""

    scale: float = Field(
        1.0, ge=0, le=10, description="What the combined change is multiplied by before it is added to the base."
    )


@dataclass(frozen=True)
class Chunk:
    """Some rows of one weight, in float32: the base's values, and for each expert its delta and its weight."""

    name: str
    start: int  # the first row
    base: Tensor
    deltas: list[Tensor]
    weights: tuple[float, ...]
    seed: int

    def generator(self, expert: int) -> Generator:
        """Random numbers that belong to this place of this expert, in every pass the same."""
        import torch

        place = f"{self.seed}|{self.name}|{self.start}|{expert}".encode()
        return torch.Generator().manual_seed(int.from_bytes(blake2b(place, digest_size=7).digest(), "big"))


@dataclass(frozen=True)
class Stream:
    """The task vectors, which can be gone through as often as need be. `read(name)` gives the pieces of a weight."""

    experts: int
    names: tuple[str, ...]
    read: Callable[[str], Iterator[Chunk]]

    def chunks(self) -> Iterator[Chunk]:
        """All pieces, in the same order in every pass."""
        for name in self.names:
            yield from self.read(name)

    def of(self, scope: Scope) -> list[Stream]:
        """The parts that count as one: all of it, or each weight."""
        return [self] if scope == "global" else [replace(self, names=(name,)) for name in self.names]

    def changed(self, change: Values) -> Stream:
        """The same with other deltas in place of those it has."""
        return replace(self, read=lambda name: (replace(chunk, deltas=change(chunk)) for chunk in self.read(name)))


@dataclass(frozen=True)
class Cutoffs:
    """For each weight, by name, a number for each expert."""

    by_name: dict[str, list[float]]

    def of(self, chunk: Chunk) -> list[float]:
        return self.by_name[chunk.name]


def magnitudes(chunk: Chunk) -> list[Tensor]:
    """The absolute values of the deltas."""
    return [delta.abs() for delta in chunk.deltas]


def largest(stream: Stream, scope: Scope, *kept: Callable[[int], int]) -> list[Cutoffs]:
    """For each of `kept` the magnitude of the smallest entry when so many of n are kept; infinite where none is."""
    from gpu_jobs.engine.merging.selection import order_statistics

    cutoffs = [Cutoffs({}) for _ in kept]
    for part in stream.of(scope):
        found = order_statistics(part, magnitudes, lambda n: [n - share(n) for share in kept])
        for one, values in zip(cutoffs, zip(*found, strict=True), strict=True):
            one.by_name.update({name: list(values) for name in part.names})
    return cutoffs


def trimmed(chunk: Chunk, cutoffs: Cutoffs) -> list[Tensor]:
    """The deltas with every entry below its cutoff set to zero; of equal entries at the cutoff, all are kept."""
    return [delta * (delta.abs() >= low) for delta, low in zip(chunk.deltas, cutoffs.of(chunk), strict=True)]


def weighted_sum(chunk: Chunk) -> Tensor:
    """The deltas, each times its expert's weight, added up."""
    total = chunk.deltas[0] * chunk.weights[0]
    for delta, weight in zip(chunk.deltas[1:], chunk.weights[1:], strict=True):
        total.add_(delta, alpha=weight)
    return total


def gram(stream: Stream, values: Values) -> dict[str, list[list[float]]]:
    """The scalar products of the experts' values with each other, for each weight by name."""
    import torch

    found = {}
    for part in stream.of("tensor"):
        products = torch.zeros(stream.experts, stream.experts, dtype=torch.float64)
        for chunk in part.chunks():
            rows = torch.stack([value.flatten() for value in values(chunk)]).double()
            products += rows @ rows.T
        found[part.names[0]] = products.tolist()
    return found
