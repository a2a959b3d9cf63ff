"""Average: the mean of the experts, weighted.

    theta = theta_0 + lambda sum_i w_i tau_i / sum_i w_i        tau_i = theta_i - theta_0

With lambda = 1 this is the mean of the models themselves ("Model soups", Wortsman et al. 2022, the uniform soup).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gpu_jobs.deltas import Chunk, MergerKnobs, weighted_sum
from gpu_jobs.errors import MethodError

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2203.05482"
PLAIN: dict[str, float] = {}


class Knobs(MergerKnobs):
    name: Literal["average"]


def combine(knobs: Knobs, chunk: Chunk, state: None) -> Tensor:
    """The weighted mean of the deltas. Raises MethodError when the weights add up to nothing."""
    total = sum(chunk.weights)
    if total == 0:
        raise MethodError("the experts' weights add up to 0, so that they have no mean: change one of them.")
    return weighted_sum(chunk) / total
