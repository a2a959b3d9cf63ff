"""Model stock: the mean of the experts, drawn back to the base the more they disagree.

    theta = theta_0 + lambda t mean_i(tau_i)        t = n cos / ((n - 1) cos + 1)

for each weight, with n experts and cos the mean cosine between two of their task vectors (Jang et al. 2024). Experts
that agree give their mean; experts at right angles give the base. A negative mean cosine counts as zero. The experts'
own weights are not used: the geometry decides.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from gpu_jobs.deltas import Chunk, MergerKnobs, Stream, gram

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2403.19522"
PLAIN: dict[str, float] = {}


class Knobs(MergerKnobs):
    name: Literal["model_stock"]


def survey(knobs: Knobs, stream: Stream) -> dict[str, float]:
    """t of each weight."""
    return {name: ratio(products) for name, products in gram(stream, lambda chunk: chunk.deltas).items()}


def ratio(products: list[list[float]]) -> float:
    """t, from the scalar products of the task vectors; 1 for a single one. What did not move agrees with nothing."""
    n = len(products)
    if n == 1:
        return 1.0
    cosines = [_cosine(products, i, j) for i, j in combinations(range(n), 2)]
    cosine = max(0.0, sum(cosines) / len(cosines))
    return n * cosine / ((n - 1) * cosine + 1)


def _cosine(products: list[list[float]], i: int, j: int) -> float:
    norms = math.sqrt(products[i][i] * products[j][j])
    return products[i][j] / norms if norms else 0.0


def combine(knobs: Knobs, chunk: Chunk, state: dict[str, float]) -> Tensor:
    """The mean of the deltas, times t."""
    return sum(chunk.deltas[1:], chunk.deltas[0]) * (state[chunk.name] / len(chunk.deltas))
