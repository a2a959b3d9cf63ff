"""SLERP: along the arc between two experts instead of the chord, and so on with the next.

    slerp(a, b; t) = sin((1 - t) omega) / sin(omega) a + sin(t omega) / sin(omega) b        cos(omega) = a.b / |a||b|

for each weight by itself (Shoemake 1985), between the models or between their task vectors; where a and b point almost
the same way (|cos| above 0.9995) the chord is taken. Of several experts the next is joined to the arc's point so far,
t being its share of the weights up to it, so that the order matters. What is kept is how much of each expert there is
in the result, which follows from their scalar products.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gpu_jobs.deltas import Chunk, MergerKnobs, Stream, gram, weighted_sum
from gpu_jobs.errors import MethodError

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://dl.acm.org/doi/10.1145/325165.325242"
PLAIN: dict[str, float] = {}
SEQUENTIAL = True
NEARLY = 0.9995


class Knobs(MergerKnobs):
    name: Literal["slerp"]
    on: Literal["weight", "delta"] = Field(
        "weight", description="Between what: the models' weights, or their task vectors."
    )


def survey(knobs: Knobs, stream: Stream) -> dict[str, list[float]]:
    """For each weight, how much of each expert there is in the result. Raises MethodError for weights that cancel."""
    weights = next(stream.chunks()).weights
    products = gram(stream, lambda chunk: _points(knobs, chunk))
    return {name: _shares(found, weights) for name, found in products.items()}


def _points(knobs: Knobs, chunk: Chunk) -> list[Tensor]:
    return [delta + chunk.base for delta in chunk.deltas] if knobs.on == "weight" else chunk.deltas


def _shares(products: list[list[float]], weights: tuple[float, ...]) -> list[float]:
    """From the experts' scalar products with each other."""
    shares, done = [1.0] + [0.0] * (len(weights) - 1), weights[0]
    for number in range(1, len(weights)):
        done += weights[number]
        if done == 0:
            raise MethodError("slerp needs weights that do not cancel each other: change one of them.")
        other = [float(expert == number) for expert in range(len(weights))]
        first, second = _arc(_product(products, shares, shares), _product(products, other, other),
                             _product(products, shares, other), weights[number] / done)  # fmt: skip
        shares = [first * a + second * b for a, b in zip(shares, other, strict=True)]
    return shares


def _product(products: list[list[float]], a: list[float], b: list[float]) -> float:
    return sum(x * row[j] * y for x, row in zip(a, products, strict=True) for j, y in enumerate(b))


def _arc(aa: float, bb: float, ab: float, t: float) -> tuple[float, float]:
    """How much of a and of b there is at t, by their scalar products."""
    cosine = ab / math.sqrt(aa * bb) if aa > 0 and bb > 0 else 1.0
    if abs(cosine) > NEARLY:
        return 1 - t, t
    omega = math.acos(cosine)
    return math.sin((1 - t) * omega) / math.sin(omega), math.sin(t * omega) / math.sin(omega)


def combine(knobs: Knobs, chunk: Chunk, state: dict[str, list[float]]) -> Tensor:
    """The point of the arc, less the base."""
    shares = state[chunk.name]
    change = weighted_sum(replace(chunk, weights=tuple(shares)))
    return change + chunk.base * (sum(shares) - 1) if knobs.on == "weight" else change
