"""Wanda: weights by their size and that of what they are multiplied with.

    S_ij = |W_ij| ||X_j||_2

(Sun et al. 2023.) X_j are the inputs of column j over all calibration tokens. Weights are compared with those of the
same output. Nothing is retrained; blocks are pruned one after the other, each on inputs from the pruned ones before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gpu_jobs.prunable import PruningKnobs

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_jobs.engine.pruning.layers import Layer

PAPER = "https://arxiv.org/abs/2306.11695"
NEEDS = "norms"
SCOPE = "row"


class Knobs(PruningKnobs):
    name: Literal["wanda"]


def score(knobs: Knobs, layer: Layer) -> Tensor:
    """|W| ||X||, (out, in)"""
    return layer.weight.abs() * layer.norms
