"""Task vectors held in memory, cut into pieces of rows like those of files, and merged by a method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from gpu_jobs import registry
from gpu_jobs.deltas import Chunk, MergerKnobs, Stream

Weights = dict[str, Tensor]
SHAPES = {"layers.0.q_proj.weight": (12, 8), "layers.0.norm.weight": (8,), "layers.1.q_proj.weight": (8, 8)}


def knobs(name: str, **values: Any) -> MergerKnobs:
    found = registry.methods("mergers")[name].knobs.model_validate({"name": name, **values})
    assert isinstance(found, MergerKnobs)
    return found


def random_weights(seed: int, size: float = 1.0) -> Weights:
    draw = torch.Generator().manual_seed(seed)
    return {name: size * torch.randn(shape, generator=draw) for name, shape in SHAPES.items()}


def task_vectors(count: int, size: float = 0.01) -> list[Weights]:
    return [random_weights(100 + number, size) for number in range(count)]


def stream_of(
    base: Weights, deltas: Sequence[Weights], weights: Sequence[float] | None = None, *, seed: int = 0, rows: int = 3
) -> Stream:
    def read(name: str) -> Iterator[Chunk]:
        for start in range(0, len(base[name]), rows):
            pieces = [delta[name][start : start + rows].clone() for delta in deltas]
            yield Chunk(
                name, start, base[name][start : start + rows], pieces, tuple(weights or [1.0] * len(deltas)), seed
            )

    return Stream(len(deltas), tuple(base), read)


def change(method: MergerKnobs, stream: Stream) -> Weights:
    """What is added to the base, before the method's scale."""
    module = registry.method_of(method).module
    state = module.survey(method, stream) if hasattr(module, "survey") else None
    return {
        name: torch.cat([module.combine(method, chunk, state) for chunk in stream.read(name)]) for name in stream.names
    }


def merged(method: MergerKnobs, base: Weights, deltas: Sequence[Weights], **options: Any) -> Weights:
    """The change of these task vectors, by name."""
    if getattr(registry.method_of(method).module, "WHOLE", False):
        options["rows"] = 1_000
    return change(method, stream_of(base, deltas, **options))


def flat(weights: Weights) -> Tensor:
    """All values, one after another."""
    return torch.cat([value.flatten() for value in weights.values()])


def single(values: Any) -> Weights:
    """A model of one weight with one row."""
    return {"w": torch.tensor(values, dtype=torch.float32).reshape(1, -1)}
