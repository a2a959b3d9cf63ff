"""Full: trains every weight of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import nn


class Knobs(registry.Knobs):
    name: Literal["full"]


def setup(knobs: Knobs, model: nn.Module) -> nn.Module:
    """Every parameter takes part."""
    return model.requires_grad_(True)


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """Every weight."""
    return anatomy.shapes
