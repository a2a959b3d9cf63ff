"""What strategies train: the model's own weights, an adapter's, or those of some layers. Free of torch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import HEADS, Anatomy, pattern
from gpu_jobs.errors import MethodError
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


def choose_layers(knobs: Any, model: Any) -> nn.Module:
    """The weights of the layers that `knobs.targets` names, and a classifier's new head, are trained, nothing else.

    Raises MethodError, naming the layers there are, when none is meant.
    """
    adapted = re.compile(pattern(knobs.targets, model.config.model_type))
    layers = {name: layer for name, layer in model.named_modules() if getattr(layer, "weight", None) is not None}
    found = [layer for name, layer in layers.items() if adapted.fullmatch(name) and layer.weight.ndim == 2]
    if not found:
        names = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
        raise MethodError(f"method.targets {knobs.targets!r} is in no layer of this model: choose among {names}.")
    model.requires_grad_(False)
    for layer in found:
        layer.weight.requires_grad_(True)
    for name in HEADS:
        if hasattr(model, name):
            getattr(model, name).requires_grad_(True)
    return model  # type: ignore[no-any-return]
