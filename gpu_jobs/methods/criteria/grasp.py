"""GraSP: keep the weights without which less gradient would flow.

    S = w (H g)         g = dL/dw, H the Hessian of L; both of the calibration samples, by two backwards

(Wang et al. 2020.) -2 w H g is what the squared gradient gains when w goes, to first order: where it is largest weights
go first, so S is kept where it is large. As in the authors' code: the highest of -w H g go, over all layers (allocation
"global"), and logits are divided by a temperature of 200 first.
Made for a network at its start; of a trained one, whose gradient is near zero, it says little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.prunable import PruningKnobs

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_jobs.engine.pruning.layers import Layer

PAPER = "https://arxiv.org/abs/2002.07376"
SCOPE = "matrix"


class Knobs(PruningKnobs):
    name: Literal["grasp"]
    batches: int = Field(1, ge=1, le=100_000, description="Calibration batches that it looks at.")
    temperature: float = Field(200.0, gt=0, le=1e6, description="Logits are divided by it.")


def scores(
    knobs: Knobs, model: Any, batches: Sequence[Any], loss_sum: Callable[[Any], Tensor], layers: Mapping[str, Layer]
) -> dict[str, Tensor]:
    """w (H g), (out, in) each"""
    from gpu_jobs.engine.pruning.gradients import cooled, hessian_times_gradient

    with cooled(model, knobs.temperature):
        found = hessian_times_gradient(layers, batches[: knobs.batches], loss_sum)
    return {name: layer.weight * found[name] for name, layer in layers.items()}
