"""Bottleneck adapters: a small feed-forward beside or behind the frozen layers, with its own residual.

    serial      h <- h + s f(h W_down + b_down) W_up + b_up          behind attention or feed-forward, or both
    parallel    h <- layer(x) + s (f(x W_down + b_down) W_up + b_up)  beside them

(Houlsby et al. 2019 behind both; Pfeiffer et al. 2020 behind the feed-forward; He et al. 2022 beside it.) W_up and the
biases begin at zero and W_down as a linear layer does, LoRA's beginning, so that training begins at the base model
exactly. f is not linear, so that it can't be merged. Every token then passes 2 d b more weights a place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2110.04366"
LR = 1e-3
ANY_LAYER = True


class Knobs(registry.Knobs):
    name: Literal["bottleneck"]
    form: Literal["serial", "parallel"] = Field("serial", description="Behind the layer, or beside it.")
    place: Literal["both", "attention", "ffn"] = Field("both", description="Which halves of a block have one.")
    width: int = Field(64, ge=1, le=65536, description="Inner width b.", json_schema_extra={"log": True})
    scale: float = Field(1.0, ge=0.01, le=100, description="Factor s of the adapter.", json_schema_extra={"log": True})
    activation: Literal["relu", "gelu", "silu", "identity"] = Field("relu", description="The function f.")


SERIAL = {"both": "outputs", "attention": "outputs&attention", "ffn": "outputs&mlp"}
PARALLEL = {"both": "attention_branch+ffn", "attention": "attention_branch", "ffn": "ffn"}


def targets(knobs: Knobs, model_type: str) -> str:
    """The layers that write to the residual stream, or the whole halves of the blocks."""
    return (SERIAL if knobs.form == "serial" else PARALLEL)[knobs.place]


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """2 d b + b + d values a place."""
    if knobs.form == "serial":
        names = [layer.name for layer in anatomy.layers(targets(knobs, anatomy.config["model_type"]))]
    else:
        halves = ["attention", "ffn"] if knobs.place == "both" else [knobs.place]
        names = [f"{block}.{half}" for block in range(anatomy.blocks) for half in halves]
    return {f"{name}.{key}": shape for name in names for key, shape in shapes(anatomy.width, knobs.width).items()}


def shapes(width: int, inner: int) -> Shapes:
    """Of one adapter."""
    return {"down": (inner, width), "down_bias": (inner,), "up": (width, inner), "up_bias": (width,)}


def begin(width: int, inner: int, generator: Any) -> dict[str, Tensor]:
    """W_down random, all else zero."""
    import torch

    from gpu_jobs.engine.adapters.lowrank import kaiming

    zeros = {key: torch.nn.Parameter(torch.zeros(shape)) for key, shape in shapes(width, inner).items()}
    return {**zeros, "down": kaiming(inner, width, generator=generator)}


def init(knobs: Knobs, base: Any, generator: Any, shared: Any) -> dict[str, Tensor]:
    """The adapter of one place."""
    return begin(base.width, knobs.width, generator)


def passed(x: Tensor, values: dict[str, Tensor], activation: str) -> Tensor:
    """f(x W_down + b_down) W_up + b_up"""
    from torch.nn import functional as F

    inner = F.linear(x, values["down"], values["down_bias"])
    if activation != "identity":
        inner = getattr(F, activation)(inner)
    return F.linear(inner, values["up"], values["up_bias"])


def parallel(base: Any, x: Tensor, adapter: Any, *arguments: Any, **options: Any) -> Any:
    """layer(x) + adapter(x). BERT's halves add their input, a second argument, themselves: there it joins that."""
    if arguments and hasattr(base.plain, "LayerNorm"):
        return base(x, arguments[0] + adapter(arguments[0]), *arguments[1:], **options)
    y = base(x, *arguments, **options)
    if isinstance(y, tuple):  # attention gives its weights, too
        return y[0] + adapter(x), *y[1:]
    return y + adapter(x)


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor], *arguments: Any, **options: Any) -> Any:
    """The layer with its adapter behind or beside it."""

    def adapter(source: Tensor) -> Tensor:
        return knobs.scale * passed(source, values, knobs.activation)

    if knobs.form == "parallel":
        return parallel(base, x, adapter, *arguments, **options)
    y = base(x, *arguments, **options)
    return y + adapter(y)
