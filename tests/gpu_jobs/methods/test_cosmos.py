"""COSMOS against its equations, and at both ends of its rank."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gpu_jobs import registry
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods import optimizing
from tests.gpu_jobs.methods.test_muon import newton_schulz

COSMOS = registry.methods("optimizers")["cosmos"]


def reference(start: np.ndarray, gradients: list[np.ndarray], rank: int) -> np.ndarray:
    """lr 0.1, ratio 0.3, decay 0.2, betas 0.9, 0.8, 0.7, in float64; the basis by eigenvectors where it begins."""
    weight, mean, scale = start, np.zeros_like(start), 0.3 * math.sqrt(start.size)
    basis = np.linalg.eigh(gradients[0] @ gradients[0].T)[1][:, ::-1][:, :rank]
    inner, square = np.zeros((rank, rank)), np.zeros((rank, start.shape[1]))
    for step, gradient in enumerate(gradients, 1):
        mean = 0.9 * mean + 0.1 * gradient
        old, second = basis, 0.7 * basis @ inner @ basis.T + 0.3 * gradient @ gradient.T
        basis = basis if step == 1 else np.linalg.qr(0.7 * old @ inner + 0.3 * gradient @ gradient.T @ old)[0]
        inner = basis.T @ second @ basis
        square = 0.8 * square + 0.2 * (basis.T @ gradient) ** 2
        adam = basis @ (basis.T @ mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.8**step)) + 1e-8))
        direction = adam
        if rank < len(start):
            rest = newton_schulz(mean - basis @ basis.T @ mean)
            direction = adam + scale * rest / np.linalg.norm(rest)
        weight = weight * (1 - 0.1 * 0.2) - 0.1 * scale * direction / np.linalg.norm(direction)
    return weight


@pytest.mark.parametrize("rank", [2, 4])
def test_it_follows_the_equations(rank: int) -> None:
    """Rank 4 is all of the matrix: Adam in a turned basis, as in SOAP, and no Newton-Schulz."""
    start, given = torch.ones(4, 6), optimizing.gradients(4, 4, 6)
    knobs = {"lr": 0.1, "ratio": 0.3, "weight_decay": 0.2, "beta1": 0.9, "beta2": 0.8, "beta3": 0.7, "rank": rank}
    found = optimizing.trained("cosmos", start, given, **knobs)
    expected = reference(start.double().numpy(), [gradient.double().numpy() for gradient in given], rank)
    tolerance = 1e-4 if rank == 4 else 4 * 0.1 * 0.3 * 0.05  # bfloat16 in Newton-Schulz
    np.testing.assert_allclose(found.numpy(), expected, atol=tolerance)


def test_the_first_update_at_full_rank_is_the_sign_in_the_basis_of_singular_vectors() -> None:
    (gradient,) = optimizing.gradients(1, 4, 6)
    left, values, right = np.linalg.svd(gradient.double().numpy(), full_matrices=False)
    turned = left @ np.sign(values[:, None] * right)
    expected = -0.1 * 0.1 * math.sqrt(24) * turned / np.linalg.norm(turned)
    found = optimizing.trained("cosmos", torch.zeros(4, 6), [gradient], lr=0.1)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_at_rank_zero_it_goes_where_muon_goes() -> None:
    start, given = torch.zeros(4, 6), optimizing.gradients(3, 4, 6)
    muon = {"momentum": 0.9, "nesterov": False, "weight_decay": 0.0, "scale": "original", "lr": 1.0}
    for number in range(1, 4):
        earlier = [optimizing.trained(name, start, given[: number - 1], **knobs)
                   for name, knobs in (("cosmos", {"rank": 0}), ("muon", muon))]  # fmt: skip
        later = [optimizing.trained(name, start, given[:number], **knobs)
                 for name, knobs in (("cosmos", {"rank": 0}), ("muon", muon))]  # fmt: skip
        ours, theirs = (new - old for new, old in zip(later, earlier, strict=True))
        torch.testing.assert_close(ours / ours.norm(), theirs / theirs.norm(), atol=1e-5, rtol=0)
        assert float(ours.norm()) == pytest.approx(1e-3 * 0.1 * math.sqrt(24), rel=1e-4)


def test_a_state_of_another_rank_is_refused() -> None:
    layer, (gradient,) = optimizing.matrix(torch.ones(4, 6)), optimizing.gradients(1, 4, 6)
    first = optimizing.build("cosmos", layer, rank=2)
    optimizing.after(first, layer.get_parameter("weight"), [gradient])
    second = optimizing.build("cosmos", layer, rank=3)
    second.load_state_dict({**first.state_dict(), "param_groups": second.state_dict()["param_groups"]})
    with pytest.raises(MethodError, match="the checkpoint has 2 directions"):
        second.step()


def test_its_state_grows_with_the_rank() -> None:
    def kept(rank: int, shape: tuple[int, ...]) -> int:
        knobs = COSMOS.knobs(name="cosmos", rank=rank)  # type: ignore[call-arg]
        return int(COSMOS.module.state_bytes(knobs, {"up_proj.weight": shape}))

    assert kept(0, (30, 20)) == 4 * 600
    assert kept(8, (30, 20)) == 4 * (600 + 8 * 20 + 30 * 8 + 64)
    assert kept(64, (30, 20)) == kept(20, (30, 20))
    assert kept(8, (10_001, 20)) == 8 * 10_001 * 20
