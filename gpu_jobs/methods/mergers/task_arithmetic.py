"""Task arithmetic: the experts' task vectors, added.

    theta = theta_0 + lambda sum_i w_i tau_i        tau_i = theta_i - theta_0

(Ilharco et al. 2023). A negative weight takes away what an expert has learned. One lambda for all experts is chosen on
held-out data; the authors look between 0 and 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gpu_jobs.deltas import Chunk, MergerKnobs, weighted_sum

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2212.04089"
PLAIN: dict[str, float] = {}


class Knobs(MergerKnobs):
    name: Literal["task_arithmetic"]


def combine(knobs: Knobs, chunk: Chunk, state: None) -> Tensor:
    """The weighted sum of the deltas."""
    return weighted_sum(chunk)
