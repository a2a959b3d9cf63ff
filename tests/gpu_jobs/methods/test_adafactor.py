"""Adafactor against its equation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gpu_jobs import registry
from tests.gpu_jobs.methods import optimizing

ADAFACTOR = registry.methods("optimizers")["adafactor"]


def rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


def updated(weight: np.ndarray, gradients: list[np.ndarray], decay: float) -> np.ndarray:
    """lr 0.02, c -0.8, eps 1e-3, d 1, in float64."""
    row, column, whole = 0.0, 0.0, 0.0
    for step, gradient in enumerate(gradients, 1):
        share = step**-0.8
        square = gradient**2
        if weight.ndim == 2:
            row = (1 - share) * row + share * square.mean(1, keepdims=True)
            column = (1 - share) * column + share * square.mean(0, keepdims=True)
            second = row * column / np.mean(row)
        else:
            second = whole = (1 - share) * whole + share * square
        direction = gradient / np.sqrt(second)
        alpha = max(1e-3, rms(weight)) * min(0.02, 1 / np.sqrt(step))
        weight = weight * (1 - 0.02 * decay) - alpha * direction / max(1.0, rms(direction))
    return weight


@pytest.mark.parametrize(("name", "decay"), [("weight", 0.3), ("bias", 0.0)])
def test_it_follows_the_equation(name: str, decay: float) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(5, 3)
    weight = layer.get_parameter(name)
    start, given = weight.detach().double().numpy(), optimizing.gradients(4, *weight.shape)
    found = optimizing.after(optimizing.build("adafactor", layer, lr=0.02, weight_decay=0.3), weight, given)
    expected = updated(start, [gradient.double().numpy() for gradient in given], decay)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-7)


def test_a_matrix_keeps_a_row_and_a_column() -> None:
    knobs = ADAFACTOR.knobs(name="adafactor")  # type: ignore[call-arg]
    assert ADAFACTOR.module.state_bytes(knobs, {"a": (300, 500)}) == 4 * 800
    assert ADAFACTOR.module.state_bytes(knobs, {"a": (7,)}) == 4 * 7
    assert ADAFACTOR.module.state_bytes(knobs, {"a": (2, 3, 5)}) == 4 * 2 * (3 + 5)
