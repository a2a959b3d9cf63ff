"""PERP: retrains a pruned model by its biases, its norms and a LoRA that leaves zeros alone.

    trained     biases, weights of norms, the output layer where asked, and A and B of the adapter
    merged      W + (alpha / r) M * (B A), W * (B A), or W as it is where there is no adapter; M = 1 where W is not zero

(Zimmer et al. 2023, "PERP: Rethinking the Prune-Retrain Paradigm in the Era of LLMs"; rank, alpha and learning rate as
in the authors' released code.) Zeros stay zeros, whichever of the three adapters is chosen. Biases and norms are not
pruned. Other than in that code, an output layer is trained whole; for a low-rank update of it, name it in
`adapter.targets`, where, having no zeros, it gets a plain LoRA. One that is tied to the embedding stays frozen.
Their other way, fitting each layer's outputs to the dense model's, is not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from gpu_jobs import registry
from gpu_jobs.adaptable import AdapterChoice
from gpu_jobs.anatomy import HEADS, Anatomy, pattern
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import nn

PAPER = "https://arxiv.org/abs/2312.15230"
LR = 5e-4
MASK_SAFE = ("mask_lora", "scale_lora", "lora_prune")
NOTHING = "method 'perp' has nothing to train here: choose an adapter, or biases and norms that this model has."


class Knobs(registry.Knobs):
    name: Literal["perp"]
    biases: bool = Field(True, description="Train every bias that the model has.")
    norms: bool = Field(True, description="Train the norms' weights.")
    head: bool = Field(False, description="Train the output layer whole, where it is not the embedding's weight.")
    adapter: AdapterChoice | None = Field(
        {"name": "mask_lora", "targets": "all"},
        validate_default=True,
        description="A LoRA that keeps zeros: mask_lora, scale_lora or lora_prune. Empty: none.",
    )

    @field_validator("adapter")
    @classmethod
    def _keeps_zeros(cls, adapter: registry.Knobs | None) -> registry.Knobs | None:
        if adapter is not None and adapter.name not in MASK_SAFE:
            raise ValueError(f"adapter {adapter.name!r} fills zeros: choose {', '.join(MASK_SAFE)}, or none")
        return adapter


def setup(knobs: Knobs, model: Any) -> nn.Module:
    """The chosen parts take part, beside the adapter. Raises MethodError where that is nothing at all."""
    from gpu_jobs.engine.adapters import host

    if knobs.adapter is None:
        model.requires_grad_(False)
    own = {
        f"{name}.{key}": value
        for name, layer in host.modules(model)
        for key, value in layer._parameters.items()
        if value is not None
    }
    if getattr(model.config, "tie_word_embeddings", False):
        own.pop("lm_head.weight", None)
    chosen = _chosen(knobs, own, model.config.model_type)
    for name in chosen:
        own[name].requires_grad_(True)
    if not chosen and knobs.adapter is None:
        raise MethodError(NOTHING)
    return model  # type: ignore[no-any-return]


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The chosen parts. Raises MethodError where that is nothing at all."""
    found = beside(knobs, anatomy)
    if not found and knobs.adapter is None:
        raise MethodError(NOTHING)
    return found


def beside(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """What is trained beside the adapter."""
    chosen = _chosen(knobs, anatomy.shapes, anatomy.config["model_type"])
    return {name: anatomy.shapes[name] for name in chosen}


def _chosen(knobs: Knobs, names: Iterable[str], model_type: str) -> list[str]:
    is_norm = re.compile(pattern("norms", model_type))

    def is_trained(name: str) -> bool:
        layer, _, kind = name.rpartition(".")
        return (
            name.split(".")[0] in HEADS
            or (knobs.biases and kind == "bias")
            or (knobs.norms and is_norm.fullmatch(layer) is not None)
            or (knobs.head and name == "lm_head.weight")
        )

    return [name for name in names if is_trained(name)]
