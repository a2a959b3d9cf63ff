"""diffGrad against its equation, and against the trap of the authors' first version."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.gpu_jobs.methods import optimizing


def test_it_follows_the_equation() -> None:
    start, given = torch.ones(3, 4), optimizing.gradients(4, 3, 4)
    weight, first, second, before = np.ones((3, 4)), np.zeros((3, 4)), np.zeros((3, 4)), np.zeros((3, 4))
    for step, raw in enumerate(given, 1):
        gradient = raw.double().numpy() + 0.2 * weight
        friction = 1 / (1 + np.exp(-np.abs(before - gradient)))
        before = gradient
        first = 0.8 * first + 0.2 * gradient
        second = 0.9 * second + 0.1 * gradient**2
        weight = weight - 0.1 * friction * first / (1 - 0.8**step) / (np.sqrt(second / (1 - 0.9**step)) + 1e-6)
    found = optimizing.trained("diffgrad", start, given, lr=0.1, weight_decay=0.2, beta1=0.8, beta2=0.9, eps=1e-6)
    np.testing.assert_allclose(found.numpy(), weight, rtol=1e-5, atol=1e-6)


def steps(given: list[float], *, reuse: bool) -> list[float]:
    """The step of each update over the rate, without memory: xi times the gradient's sign."""
    weight = nn.Parameter(torch.zeros(1, 1))
    layer = nn.Module()
    layer.weight = weight
    optimizer = optimizing.build("diffgrad", layer, lr=0.1, beta1=0.0, beta2=0.0)
    buffer, found = torch.zeros(1, 1), []
    for value in given:
        before = weight.item()
        weight.grad = buffer.fill_(value) if reuse else torch.full((1, 1), value)
        optimizer.step()
        found.append((before - weight.item()) / 0.1)
    return found


def test_xi_is_a_half_for_an_equal_gradient_only() -> None:
    found = steps([2.0, 2.0, 2.5, -1.0], reuse=False)
    assert found == pytest.approx([1 / (1 + math.exp(-change)) * sign for change, sign in
                                   [(2, 1), (0, 1), (0.5, 1), (3.5, -1)]], abs=1e-5)  # fmt: skip
    assert abs(found[1]) == pytest.approx(0.5, abs=1e-5)
    assert all(0.5 < abs(step) < 1 for step in found[:1] + found[2:])


def test_a_gradient_buffer_that_is_used_again_changes_nothing() -> None:
    """`zero_grad(set_to_none=False)` and DDP's buckets write the next gradient over the last one."""
    given = [2.0, -1.0, 0.5, 0.7]
    assert steps(given, reuse=True) == steps(given, reuse=False)
    assert all(abs(step) > 0.51 for step in steps(given, reuse=True))


def test_the_gradient_itself_is_left_as_it_was() -> None:
    layer = optimizing.matrix(torch.ones(2, 2))
    optimizer, weight = optimizing.build("diffgrad", layer, weight_decay=1.0), layer.get_parameter("weight")
    weight.grad = torch.ones(2, 2)
    optimizer.step()
    assert weight.grad.equal(torch.ones(2, 2))
