"""SSF: scales and shifts the features behind every layer.

    y = gamma * layer(x) + beta        gamma, beta (channels,)
    merged: W' = diag(gamma) W, b' = gamma * b + beta

(Lian et al. 2022), behind linear layers, norms and, in a ViT, the patch embedding. As in the authors' code gamma begins
as N(1, 0.02) and beta as N(0, 0.02), which is not quite the base model; `exact` begins at 1 and 0. A layer without a
bias (all of llama's) has no place for beta when it is merged, so there only gamma is trained; merging is then exact
everywhere. The paper trains ViTs with AdamW at 1e-3 and weight decay 0.05.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2210.08823"
LR = 1e-3
STARTS_AT_BASE = False
ANY_LAYER = True


class Knobs(registry.Knobs):
    name: Literal["ssf"]
    places: Literal["all", "linear", "norms"] = Field("all", description="Behind which layers features are scaled.")
    start: Literal["paper", "exact"] = Field("paper", description="paper: near 1 and 0. exact: the base model.")


def targets(knobs: Knobs, model_type: str) -> str:
    """The groups of layers, as `anatomy.pattern` reads them."""
    linear = "attention+mlp" + ("+embedding" if model_type == "vit" else "")  # the patches' projection
    return {"linear": linear, "norms": "norms", "all": f"{linear}+norms"}[knobs.places]


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """gamma of every adapted layer, and beta where it has a bias."""
    shapes: Shapes = {}
    for name, channels in anatomy.channels(targets(knobs, anatomy.config["model_type"])).items():
        shapes[f"{name}.gamma"] = (channels,)
        if f"{name}.bias" in anatomy.shapes:
            shapes[f"{name}.beta"] = (channels,)
    return shapes


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """gamma, and beta where the layer has a bias: (channels,)"""
    import torch

    std, channels = 0.02 * (knobs.start == "paper"), len(base.weight)
    values = {"gamma": torch.nn.Parameter(1 + std * torch.randn(channels, generator=generator))}
    if base.bias is not None:
        values["beta"] = torch.nn.Parameter(std * torch.randn(channels, generator=generator))
    return values  # type: ignore[return-value]


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """gamma * layer(x) + beta"""
    y = base(x) * values["gamma"]
    return y + values["beta"] if "beta" in values else y  # type: ignore[no-any-return]


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """diag(gamma) W and gamma * b + beta; of a norm gamma * w."""
    weight = base.weight
    scaled = weight * (values["gamma"][:, None] if weight.ndim == 2 else values["gamma"])
    return scaled, values["gamma"] * base.bias + values["beta"] if "beta" in values else None
