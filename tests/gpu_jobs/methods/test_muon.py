"""Muon against its equation in NumPy, and against torch's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from gpu_jobs.engine.newton_schulz import orthogonalized
from tests.gpu_jobs.methods import optimizing

SHAPES = [(6, 4), (4, 6), (5, 5)]


def newton_schulz(matrix: np.ndarray) -> np.ndarray:
    """Five rounds on the singular values, in float64: s -> 3.4445 s - 4.7750 s^3 + 2.0315 s^5."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / np.sqrt((values**2).sum())
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return np.asarray(left * values @ right)


@pytest.mark.parametrize("shape", SHAPES)
def test_newton_schulz_is_its_polynomial_on_the_singular_values(shape: tuple[int, int]) -> None:
    (gradient,) = optimizing.gradients(1, *shape)
    found, expected = orthogonalized(gradient).float().numpy(), newton_schulz(gradient.double().numpy())
    assert np.abs(found - expected).max() < 0.05  # bfloat16 has 3 digits
    assert np.linalg.svd(found)[1] == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", ["match_rms_adamw", "original"])
def test_it_follows_the_equation(shape: tuple[int, int], scale: str) -> None:
    start, given = torch.ones(shape), optimizing.gradients(3, *shape)
    weight, momentum = np.ones(shape), np.zeros(shape)
    size = 0.2 * math.sqrt(max(shape)) if scale == "match_rms_adamw" else math.sqrt(max(1, shape[0] / shape[1]))
    for raw in given:
        gradient = raw.double().numpy()
        momentum = 0.9 * momentum + 0.1 * gradient
        weight = weight * (1 - 0.01 * 0.3) - 0.01 * size * newton_schulz(0.1 * gradient + 0.9 * momentum)
    found = optimizing.trained("muon", start, given, lr=0.01, weight_decay=0.3, momentum=0.9, scale=scale)
    np.testing.assert_allclose(found.numpy(), weight, atol=3 * 0.01 * size * 0.05)


@pytest.mark.parametrize("knobs", [{}, {"nesterov": False, "weight_decay": 0.0}, {"momentum": 0.5, "lr": 0.1}])
def test_it_is_torch_s_muon(knobs: dict[str, Any]) -> None:
    start, given = torch.ones(6, 4), optimizing.gradients(3, 6, 4)
    expected = optimizing.reference(
        lambda weights: torch.optim.Muon(weights, adjust_lr_fn="original", **knobs), start, given
    )
    assert optimizing.trained("muon", start, given, scale="original", **knobs).equal(expected)


def test_an_update_is_as_large_as_adamw_s() -> None:
    """RMS about 0.2 lr for a full-rank matrix, whatever its shape; singular values are 1 within 0.35."""
    for shape in [(64, 64), (256, 64), (64, 256)]:
        found = optimizing.trained("muon", torch.zeros(shape), optimizing.gradients(1, *shape), lr=1.0)
        assert float(found.square().mean().sqrt()) == pytest.approx(0.2, rel=0.35)
