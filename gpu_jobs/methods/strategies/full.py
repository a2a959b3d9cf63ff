"""Full: trains every weight of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gpu_jobs import registry

if TYPE_CHECKING:
    from torch import nn


class Knobs(registry.Knobs):
    name: Literal["full"]


def setup(knobs: Knobs, model: nn.Module) -> nn.Module:
    """Every parameter takes part."""
    return model.requires_grad_(True)


def is_trainable(knobs: Knobs, name: str) -> bool:
    """Whether the weight called `name` is trained."""
    return True
