"""SNIP: how much the loss feels each connection, from few samples.

    S = |w g| / sum |w g|         g = dL/dw of the first calibration batches, the sum over all layers

(Lee et al. 2019.) Made for a network at its start, with one batch and one threshold for all layers: allocation
"global". With the same samples it orders weights as gradient_taylor does; the share of the whole is what it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.prunable import PruningKnobs

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_jobs.engine.pruning.layers import Layer

PAPER = "https://arxiv.org/abs/1810.02340"
SCOPE = "matrix"


class Knobs(PruningKnobs):
    name: Literal["snip"]
    batches: int = Field(1, ge=1, le=100_000, description="Calibration batches that it looks at.")


def scores(
    knobs: Knobs, model: Any, batches: Sequence[Any], loss_sum: Callable[[Any], Tensor], layers: Mapping[str, Layer]
) -> dict[str, Tensor]:
    """The share of the summed sensitivity, (out, in) each"""
    from gpu_jobs.engine.pruning.gradients import mean_gradients

    found = mean_gradients(layers, batches[: knobs.batches], loss_sum)
    felt = {name: (layer.weight * found[name]).abs() for name, layer in layers.items()}
    total = sum(float(value.sum()) for value in felt.values()) or 1.0
    return {name: value / total for name, value in felt.items()}
