"""diffGrad: Adam with a smaller step where the gradient changes little.

    xi = 1 / (1 + exp(-|g' - g|))                g' is the gradient of the update before, 0 at first
    m = b1 m + (1 - b1) g
    v = b2 v + (1 - b2) g^2
    w = w - lr xi m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

(Dubey et al. 2020). xi is 0.5 where the gradient is as it was and tends to 1 where it changes much, value by value, so
that weights of every shape are updated alike. The first version of the authors' code kept g' by reference, so that xi
was always 0.5; here it is a copy, as in their second. The decay is a part of the gradient, of matrices only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.shapes import Shape, count

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

PAPER = "https://arxiv.org/abs/1909.11015"


class Knobs(registry.Knobs):
    name: Literal["diffgrad"]
    lr: float = Field(1e-3, gt=0, le=10, description="Peak learning rate.", json_schema_extra={"log": True})
    weight_decay: float = Field(0.0, ge=0, le=10, description="Pull of matrices towards zero, in the gradient.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Memory of the gradient.", json_schema_extra={"advanced": True})
    beta2: float = Field(0.999, ge=0, lt=1, description="Memory of its square.", json_schema_extra={"advanced": True})
    eps: float = Field(
        1e-8,
        gt=0,
        le=1,
        description="Keeps the division finite.",
        json_schema_extra={"advanced": True, "log": True},
    )


def build(knobs: Knobs, named_parameters: Iterable[tuple[str, nn.Parameter]]) -> optim.Optimizer:
    """The rule over the trainable parameters, in two groups: with decay and without."""
    from gpu_jobs.engine.optimizers import Ruled, decay_groups

    own = {name: getattr(knobs, name) for name in ("lr", "beta1", "beta2", "eps")}
    return Ruled(decay_groups(named_parameters, knobs.weight_decay), update, **own)


def state_bytes(knobs: Knobs, shapes: Mapping[str, Shape]) -> int:
    """m, v and the gradient before, in float32."""
    return 12 * count(shapes)


def update(weight: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    """One step of a weight of any shape."""
    import torch

    assert weight.grad is not None
    gradient = weight.grad.add(weight, alpha=group["weight_decay"])
    if not state:
        state |= {name: torch.zeros_like(gradient) for name in ("exp_avg", "exp_avg_sq", "before")}
        state["step"] = torch.zeros(())
    state["step"] += 1
    step, beta1, beta2 = state["step"].item(), group["beta1"], group["beta2"]
    friction = (state["before"] - gradient).abs().sigmoid()
    state["before"].copy_(gradient)
    mean = state["exp_avg"].lerp_(gradient, 1 - beta1) / (1 - beta1**step)
    square = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2) / (1 - beta2**step)
    weight.addcdiv_(friction * mean, square.sqrt() + group["eps"], value=-group["lr"])
