"""Random: weights go by lot, the yardstick that every criterion must beat.

    S ~ U(0, 1)

Drawn from the run's seed, for each matrix anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gpu_jobs.prunable import PruningKnobs

if TYPE_CHECKING:
    from torch import Tensor

    from gpu_jobs.engine.pruning.layers import Layer

SCOPE = "matrix"


class Knobs(PruningKnobs):
    name: Literal["random"]


def score(knobs: Knobs, layer: Layer) -> Tensor:
    """Uniform in [0, 1), (out, in)"""
    import torch

    return torch.rand(layer.weight.shape, generator=layer.generator)
