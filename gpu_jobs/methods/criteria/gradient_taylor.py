"""Gradient times weight: what the loss would lose, to first order, if the weight were zero.

    S = |w g|         g = dL/dw, of the mean loss over all calibration samples

(Molchanov et al. 2019, whose score of a group is the square; of a single weight the order is the same.) All gradients
are held at once: as much memory again as the pruned weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from gpu_jobs.prunable import PruningKnobs

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_jobs.engine.pruning.layers import Layer

PAPER = "https://arxiv.org/abs/1906.10771"
SCOPE = "matrix"


class Knobs(PruningKnobs):
    name: Literal["gradient_taylor"]


def scores(
    knobs: Knobs, model: Any, batches: Sequence[Any], loss_sum: Callable[[Any], Tensor], layers: Mapping[str, Layer]
) -> dict[str, Tensor]:
    """|w g| of every layer, (out, in)"""
    from gpu_jobs.engine.pruning.gradients import mean_gradients

    found = mean_gradients(layers, batches, loss_sum)
    return {name: (layer.weight * found[name]).abs() for name, layer in layers.items()}
