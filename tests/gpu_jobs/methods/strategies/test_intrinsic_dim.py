"""Intrinsic dimension: projections by their matrices, and training that only sees d numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.linalg import hadamard as reference

from gpu_jobs.engine.projection import Projection, hadamard
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import LORA, Bench, distance

KINDS = ["dense", "sparse", "fastfood"]
SGD = {"name": "sgd", "lr": 0.5, "momentum": 0, "weight_decay": 0}


def method(kind: str = "fastfood", **knobs: Any) -> dict[str, Any]:
    return {"name": "intrinsic_dim", "d": 20, "projection": kind, **knobs}


def matrix(p: Projection, rows: int, place: int = 0) -> torch.Tensor:
    """(rows, d): P itself, column by column."""
    return torch.stack([p.apply(place, unit, rows) for unit in torch.eye(p.inner)], dim=1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_transpose_is_that_of_the_matrix(kind: str) -> None:
    p = Projection(kind, 3, 1000, 12)
    whole = matrix(p, 1000)
    y = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(p.transpose(0, y), whole.T @ y, atol=1e-5, rtol=1e-4)
    assert matrix(p, 1000).equal(whole)
    assert not matrix(p, 1000, place=1).equal(whole)
    assert not matrix(Projection(kind, 4, 1000, 12), 1000).equal(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_its_columns_are_nearly_orthonormal(kind: str) -> None:
    """Squared lengths have the standard error sqrt(2/D), sparse ones sqrt(sqrt(D)/D); products sqrt(1/D)."""
    total = 20_000
    gram = (whole := matrix(Projection(kind, 1, total, 30), total)).T @ whole
    spread = (total**0.5 / total) ** 0.5 if kind == "sparse" else (2 / total) ** 0.5
    assert (gram.diagonal() - 1).abs().max() < 5 * spread
    assert (gram - gram.diagonal().diag()).abs().max() < 5 * total**-0.5


def test_a_sparse_one_has_as_many_entries_as_are_to_be_expected() -> None:
    """D d / sqrt(D) of them, less those that fall on the same place."""
    whole = matrix(Projection("sparse", 1, 10_000, 20), 10_000)
    assert 0.98 * 2000 < int((whole != 0).sum()) <= 2000


def test_hadamard_is_the_matrix_of_walsh_and_hadamard() -> None:
    x = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(hadamard(x), x @ torch.tensor(reference(16), dtype=torch.float32))


def test_a_long_tensor_is_drawn_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_jobs.engine.projection.ENTRIES", 64)
    for kind in KINDS:
        p = Projection(kind, 3, 100, 6)
        y = torch.arange(100.0)
        torch.testing.assert_close(p.transpose(0, y), matrix(p, 100).T @ y, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_are_what_the_projection_makes_of_theta_d(bench: Bench, kind: str) -> None:
    job = jobs.job(bench, method(kind))
    hooks: Any = job.hooks
    before = jobs.weights(job)
    for number in range(3):
        jobs.step(job, number)
    theta_d = hooks.stand_ins["theta_d"].detach()
    assert theta_d.all()
    expected = {
        name: value + hooks.projection.apply(place, theta_d, value.numel()).view_as(value)
        for place, (name, value) in enumerate(before.items())
    }
    assert distance(jobs.weights(job), expected) < 1e-6
    assert job.hooks.trainable_values() == 20
    assert set(hooks.tensors()) == {"theta_d"}  # P is not kept


def test_the_gradient_is_the_projected_one(bench: Bench) -> None:
    """A step of SGD: theta_d = -lr P^T grad, and of the scales, whose gradient is zero while theta_d is, none."""
    job = jobs.job(bench, method("dense", said=True), optimizer=SGD, clip_norm=0)
    full = jobs.job(bench, "full", optimizer=SGD, clip_norm=0)
    hooks: Any = job.hooks
    before = jobs.weights(full)
    jobs.step(job)
    jobs.step(full)
    gradients = [(before[name] - value) / 0.5 for name, value in jobs.weights(full).items()]
    expected = sum(hooks.projection.transpose(place, g.flatten()) for place, g in enumerate(gradients))
    torch.testing.assert_close(hooks.stand_ins["theta_d"].detach(), -0.5 * expected, atol=1e-6, rtol=1e-3)
    assert hooks.stand_ins["lambda"].detach().equal(torch.ones(len(gradients)))


def test_the_gradient_of_the_scales_is_that_of_autograd(bench: Bench) -> None:
    job = jobs.job(bench, method(said=True))
    hooks: Any = job.hooks
    jobs.step(job)
    theta_d, scales = (hooks.stand_ins[name].detach().clone().requires_grad_() for name in ("theta_d", "lambda"))
    weights = list(hooks.trained().values())
    p, random = hooks.projection, torch.Generator().manual_seed(1)
    gradients = [torch.randn(value.shape, generator=random) for value in weights]
    made = [
        scales[place] * (matrix(p, value.numel(), place) @ theta_d).view_as(value)
        for place, value in enumerate(weights)
    ]
    sum((one * other).sum() for one, other in zip(made, gradients, strict=True)).backward()  # type: ignore[union-attr]
    for value, gradient in zip(weights, gradients, strict=True):
        value.grad = gradient
    hooks.gather()
    torch.testing.assert_close(hooks.stand_ins["theta_d"].grad, theta_d.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(hooks.stand_ins["lambda"].grad, scales.grad, atol=1e-5, rtol=1e-4)
    assert job.hooks.trainable_values() == 20 + len(weights)
    assert job.facts["plan"]["parameters"] == job.facts["parameters"]


def test_only_what_it_trains_has_state_and_no_gradient_stays(bench: Bench) -> None:
    job = jobs.job(bench, method(said=True))
    jobs.step(job)
    assert jobs.state_bytes(job) == jobs.planned(job)
    assert all(value.grad is None for value in job.bare.parameters())


def test_scales_are_trained_in_the_second_step(bench: Bench) -> None:
    job = jobs.job(bench, method(said=True))
    hooks: Any = job.hooks
    before = jobs.weights(job)
    for number in range(2):
        jobs.step(job, number)
    theta_d, scales = (hooks.stand_ins[name].detach() for name in ("theta_d", "lambda"))
    assert (scales != 1).all()
    expected = {
        name: value + scales[place] * hooks.projection.apply(place, theta_d, value.numel()).view_as(value)
        for place, (name, value) in enumerate(before.items())
    }
    assert distance(jobs.weights(job), expected) < 1e-6


def test_with_all_dimensions_and_p_the_identity_it_is_full_training(bench: Bench) -> None:
    """P is replaced by the rows of I; what is left is the optimizer's path."""

    class Identity:
        def __init__(self, sizes: list[int]) -> None:
            self.starts = torch.tensor([0, *sizes]).cumsum(0).tolist()

        def apply(self, place: int, x: torch.Tensor, rows: int) -> torch.Tensor:
            return x[self.starts[place] : self.starts[place] + rows]

        def transpose(self, place: int, y: torch.Tensor) -> torch.Tensor:
            found = y.new_zeros(self.starts[-1])
            found[self.starts[place] : self.starts[place] + len(y)] = y
            return found

    plain = {"name": "adamw", "lr": 1e-3, "weight_decay": 0}
    full = jobs.job(bench, "full", optimizer=plain)
    sizes = [value.numel() for value in jobs.weights(full).values()]
    job = jobs.job(bench, method(d=sum(sizes)), optimizer=plain)

    class Whole(type(job.hooks)):  # type: ignore[misc]
        projection = Identity(sizes)

    job.hooks.__class__ = Whole
    for number in range(3):
        jobs.step(full, number)
        jobs.step(job, number)
    assert distance(jobs.weights(job), jobs.weights(full)) < 2e-6


def test_an_adapter_can_be_spanned(bench: Bench) -> None:
    job = jobs.job(bench, method(adapter=LORA))
    before = jobs.weights(job)
    jobs.step(job)
    assert jobs.moved(job, before) == {name for name in before if "lora_" in name}
    assert job.facts["plan"]["parameters"] == job.facts["parameters"]


def test_more_dimensions_than_weights_are_an_error(bench: Bench) -> None:
    with pytest.raises(MethodError, match=r"method\.d"):
        jobs.job(bench, method(d=10_000_000))
