"""Gradients of the calibration loss with respect to the weights that may be pruned, and to nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpu_jobs.engine.objective import Batch, count
from gpu_jobs.engine.pruning.layers import Layer

Loss = Callable[[Batch], Tensor]


def mean_gradients(layers: Mapping[str, Layer], batches: Sequence[Batch], loss_sum: Loss) -> dict[str, Tensor]:
    """dL/dw of every layer, (out, in) in float32; L is the mean over all targets of the batches."""
    weights = _weights(layers)
    targets = sum(map(count, batches)) or 1
    with _trained(weights):
        for batch in batches:
            torch.autograd.backward(loss_sum(batch) / targets, inputs=list(weights.values()))
        return {name: _oriented(layers[name], weight.grad) for name, weight in weights.items()}


def hessian_times_gradient(layers: Mapping[str, Layer], batches: Sequence[Batch], loss_sum: Loss) -> dict[str, Tensor]:
    """H g of every layer, (out, in): the gradient of g . stop(g), batch by batch."""
    weights = _weights(layers)
    targets = sum(map(count, batches)) or 1
    with _trained(weights), sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
        plain = _summed(weights, batches, lambda batch: loss_sum(batch) / targets)
        product = _summed(weights, batches, lambda batch: _along(weights, plain, loss_sum(batch) / targets))
    return {name: _oriented(layers[name], product[name]) for name in layers}


def _summed(weights: Mapping[str, Tensor], batches: Sequence[Batch], scalar: Loss) -> dict[str, Tensor]:
    """The gradient of the sum of a scalar over the batches."""
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for batch in batches:
        parts = torch.autograd.grad(scalar(batch), list(weights.values()), allow_unused=True)
        for name, part in zip(total, parts, strict=True):
            if part is not None:
                total[name] += part
    return total


def _along(weights: Mapping[str, Tensor], direction: Mapping[str, Tensor], loss: Tensor) -> Tensor:
    """The derivative of the loss along a direction, of which a gradient can be taken."""
    parts = torch.autograd.grad(loss, list(weights.values()), create_graph=True, allow_unused=True)
    used = [(name, part) for name, part in zip(weights, parts, strict=True) if part is not None]
    return torch.stack([(part * direction[name]).sum() for name, part in used]).sum()


def _weights(layers: Mapping[str, Layer]) -> dict[str, Tensor]:
    return {name: layer.module.weight for name, layer in layers.items()}


def _oriented(layer: Layer, gradient: Tensor | None) -> Tensor:
    if gradient is None:
        return torch.zeros_like(layer.weight)
    return (gradient.T if layer.is_transposed else gradient.flatten(1)).float()


@contextmanager
def _trained(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """The block in which these alone have gradients; what they had before comes back."""
    before = {name: weight.requires_grad for name, weight in weights.items()}
    held = {name: weight.grad for name, weight in weights.items()}
    for weight in weights.values():
        weight.requires_grad_(True)
        weight.grad = None
    try:
        with torch.enable_grad():
            yield
    finally:
        for name, weight in weights.items():
            weight.requires_grad_(before[name])
            weight.grad = held[name]


@contextmanager
def cooled(model: Any, temperature: float) -> Iterator[None]:
    """The block in which the model's logits are divided by a temperature."""

    def divide(_: Any, __: Any, output: Any) -> Any:
        output.logits = output.logits / temperature
        return output

    handle = model.register_forward_hook(divide)
    try:
        yield
    finally:
        handle.remove()
