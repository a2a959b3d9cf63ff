"""Magnitude: the smallest weights go.

    S = |W|

(Han et al. 2015.) Compared within each matrix, or over the whole model with allocation "global". Needs no data. Among
equal weights the first ones go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gpu_jobs.prunable import PruningKnobs

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_jobs.engine.pruning.layers import Layer

PAPER = "https://arxiv.org/abs/1506.02626"
SCOPE = "matrix"


class Knobs(PruningKnobs):
    name: Literal["magnitude"]


def score(knobs: Knobs, layer: Layer) -> Tensor:
    """|W|, (out, in)"""
    return layer.weight.abs()
