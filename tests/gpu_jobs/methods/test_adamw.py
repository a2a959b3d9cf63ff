"""AdamW against its algorithm, worked out in NumPy."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from gpu_jobs import registry

ADAMW = registry.methods("optimizers")["adamw"]
KNOBS = ADAMW.knobs(name="adamw", lr=0.1, weight_decay=0.5, beta1=0.8, beta2=0.9, eps=1e-6)  # type: ignore[call-arg]


def reference(weight: np.ndarray, gradients: list[np.ndarray], decay: float) -> np.ndarray:
    """Algorithm 2 of Loshchilov and Hutter, in float64."""
    first, second = np.zeros_like(weight), np.zeros_like(weight)
    for step, gradient in enumerate(gradients, 1):
        first = 0.8 * first + 0.2 * gradient
        second = 0.9 * second + 0.1 * gradient**2
        direction = (first / (1 - 0.8**step)) / (np.sqrt(second / (1 - 0.9**step)) + 1e-6)
        weight = weight - 0.1 * (direction + decay * weight)
    return weight


def test_matrices_follow_the_algorithm_and_vectors_do_not_decay() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(5, 3)
    start = {name: value.detach().double().numpy().copy() for name, value in layer.named_parameters()}
    optimizer = ADAMW.module.build(KNOBS, layer.named_parameters())
    gradients: dict[str, list[np.ndarray]] = {name: [] for name in start}
    for _ in range(4):
        for name, parameter in layer.named_parameters():
            parameter.grad = torch.randn_like(parameter)
            gradients[name].append(parameter.grad.double().numpy().copy())
        optimizer.step()
    for name, decay in (("weight", 0.5), ("bias", 0.0)):
        expected = reference(start[name], gradients[name], decay)
        np.testing.assert_allclose(layer.get_parameter(name).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_frozen_parameters_are_left_out() -> None:
    layer = nn.Linear(5, 3)
    layer.weight.requires_grad_(False)
    optimizer = ADAMW.module.build(KNOBS, layer.named_parameters())
    assert [group["params"] for group in optimizer.param_groups] == [[layer.bias]]
