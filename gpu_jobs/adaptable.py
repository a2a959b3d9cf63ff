"""Knobs of strategies that can train an adapter instead of the model's own weights. Free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import nn

    AdapterChoice: TypeAlias = registry.Knobs
else:
    AdapterChoice = registry.union("adapters")


class AdaptableKnobs(registry.Knobs):
    """A strategy's knobs, one of which is the adapter."""

    adapter: AdapterChoice | None = Field(None, description="Train this adapter instead of all weights.")


def setup(knobs: AdaptableKnobs, model: nn.Module) -> nn.Module:
    """Every parameter may be trained, or those of the adapter."""
    return model if knobs.adapter else model.requires_grad_(True)


def sizes(knobs: AdaptableKnobs, anatomy: Anatomy) -> Shapes:
    """Every weight, where no adapter is trained."""
    return anatomy.shapes
