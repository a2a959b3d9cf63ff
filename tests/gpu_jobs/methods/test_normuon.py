"""NorMuon against its equation, and against torch's Muon where the two agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gpu_jobs import registry
from gpu_jobs.methods.optimizers import normuon
from tests.gpu_jobs.methods import optimizing
from tests.gpu_jobs.methods.test_muon import newton_schulz

SHAPES = [(6, 4), (4, 6), (5, 5)]


@pytest.mark.parametrize("shape", SHAPES)
def test_it_follows_the_equation(shape: tuple[int, int]) -> None:
    start, given = torch.ones(shape), optimizing.gradients(3, *shape)
    weight, momentum, square = np.ones(shape), np.zeros(shape), np.zeros((shape[0], 1))
    for raw in given:
        gradient = raw.double().numpy()
        momentum = 0.9 * momentum + 0.1 * gradient
        direction = newton_schulz(0.1 * gradient + 0.9 * momentum)
        square = 0.8 * square + 0.2 * (direction**2).mean(1, keepdims=True)
        scaled = direction / np.sqrt(square)
        scaled *= np.linalg.norm(direction) / np.linalg.norm(scaled) * math.sqrt(max(1, shape[0] / shape[1]))
        weight = weight * (1 - 0.01 * 0.3) - 0.01 * scaled
    found = optimizing.trained("normuon", start, given, lr=0.01, weight_decay=0.3, momentum=0.9, beta2=0.8)
    np.testing.assert_allclose(found.numpy(), weight, atol=3 * 0.01 * 0.05)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_row_step_keeps_the_norm_and_in_the_first_update_evens_the_rows_out(shape: tuple[int, int]) -> None:
    (direction,) = optimizing.gradients(1, *shape)
    found = normuon.by_rows(direction, torch.zeros(shape[0], 1), 0.95)
    assert float(found.norm()) == pytest.approx(float(direction.norm()), rel=1e-5)
    rows = found.square().mean(1)
    torch.testing.assert_close(rows, rows.mean().expand_as(rows))
    torch.testing.assert_close(found / found.norm(dim=1, keepdim=True), direction / direction.norm(dim=1, keepdim=True))


def muon(start: torch.Tensor, given: list[torch.Tensor]) -> torch.Tensor:
    return optimizing.reference(
        lambda weights: torch.optim.Muon(weights, lr=0.02, weight_decay=0.1, adjust_lr_fn="original"), start, given
    )


def test_it_is_muon_when_all_rows_have_the_same_energy() -> None:
    """A gradient with orthonormal rows stays so under Newton-Schulz, up to a factor and bfloat16."""
    rows = torch.linalg.qr(optimizing.gradients(1, 8, 8)[0]).Q[:5]
    start, given = torch.ones(5, 8), [rows, 2 * rows, 0.5 * rows]
    found = optimizing.trained("normuon", start, given, lr=0.02, weight_decay=0.1)
    torch.testing.assert_close(found, muon(start, given), atol=3 * 0.02 * 0.01, rtol=0)
    assert float((found - start).abs().max()) > 0.02


@pytest.mark.parametrize("shape", SHAPES)
def test_with_the_row_step_off_it_is_torch_s_muon_bit_for_bit(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    start, given = torch.ones(shape), optimizing.gradients(3, *shape)
    assert not optimizing.trained("normuon", start, given, weight_decay=0.1).equal(muon(start, given))
    monkeypatch.setattr(normuon, "by_rows", lambda direction, *_: direction)
    assert optimizing.trained("normuon", start, given, weight_decay=0.1).equal(muon(start, given))


def test_no_gradient_is_no_step() -> None:
    start = torch.ones(4, 6)
    assert optimizing.trained("normuon", start, [torch.zeros(4, 6)] * 2).equal(start)


def test_its_state_is_a_matrix_and_a_number_a_row() -> None:
    method = registry.methods("optimizers")["normuon"]
    knobs = method.knobs(name="normuon")  # type: ignore[call-arg]
    assert method.module.state_bytes(knobs, {"up_proj.weight": (30, 20)}) == 4 * (30 * 20 + 30)
