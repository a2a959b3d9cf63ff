"""SVFit: the largest singular values are trained."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.gpu_jobs.methods.adapters.layers import merged_distance, on, planned_and_built, shaken, trained


@pytest.mark.parametrize(("rank", "kept"), [(1, 1), (4, 4), (64, 9)])
def test_it_trains_r_numbers_and_no_more_than_there_are(rank: int, kept: int) -> None:
    assert trained(on(nn.Linear(12, 9), "svfit", rank=rank)) == kept


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert", "vit"])
def test_the_plan_counts_them(architecture: str) -> None:
    planned, built, _ = planned_and_built(architecture, "svfit", rank=4, targets="all")
    assert planned == built


def test_with_the_full_rank_nothing_is_left_of_the_weight() -> None:
    """W_e = W - U diag(sigma) V^T = 0"""
    linear = nn.Linear(12, 9)
    values = on(linear, "svfit", rank=9).values
    rest = linear.weight - (values.U * values.sigma) @ values.V
    assert float(rest.detach().abs().max()) < 1e-5


def test_it_begins_at_the_base_and_merges() -> None:
    linear, x = nn.Linear(12, 9), torch.randn(3, 12)
    layer = on(linear, "svfit", rank=4)
    torch.testing.assert_close(layer(x), linear(x), atol=1e-5, rtol=1e-5)
    assert merged_distance(shaken(layer), x) < 1e-5


def test_the_gradient_is_the_diagonal_of_u_g_v() -> None:
    """dL/dsigma = diag(U^T G V) with G = dL/dW, here of L = sum(y * c)."""
    linear, x, c = nn.Linear(12, 9), torch.randn(3, 12), torch.randn(3, 9)
    layer = on(linear, "svfit", rank=4)
    (layer(x) * c).sum().backward()
    gradient = c.T @ x
    expected = torch.diagonal(layer.values.U.T @ gradient @ layer.values.V.T)
    torch.testing.assert_close(layer.values.sigma.grad, expected, atol=1e-4, rtol=1e-4)
