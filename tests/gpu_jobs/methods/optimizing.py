"""Small layers and chosen gradients for the tests of optimizers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn, optim

from gpu_jobs import registry


def build(name: str, layer: nn.Module, **knobs: Any) -> optim.Optimizer:
    """The optimizer of this name over the layer."""
    method = registry.methods("optimizers")[name]
    optimizer: optim.Optimizer = method.module.build(method.knobs(name=name, **knobs), layer.named_parameters())
    return optimizer


def matrix(value: Tensor) -> nn.Module:
    """A layer whose only weight is this matrix, which is hidden by its name."""
    layer = nn.Linear(value.shape[1], value.shape[0], bias=False)
    layer.weight.data = value.clone()
    return layer


def gradients(count: int, *shape: int) -> list[Tensor]:
    """Random ones, the same in each call."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


def after(optimizer: optim.Optimizer, weight: Tensor, given: Sequence[Tensor]) -> Tensor:
    """The weight after one update with each gradient."""
    for gradient in given:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach().clone()


def trained(name: str, start: Tensor, given: Sequence[Tensor], **knobs: Any) -> Tensor:
    """The matrix after one update with each gradient."""
    layer = matrix(start)
    return after(build(name, layer, **knobs), layer.get_parameter("weight"), given)


def reference(
    optimizer: Callable[[list[nn.Parameter]], optim.Optimizer], start: Tensor, given: Sequence[Tensor]
) -> Tensor:
    """The matrix after one update of a plain torch optimizer with each gradient."""
    weight = nn.Parameter(start.clone())
    return after(optimizer([weight]), weight, given)
