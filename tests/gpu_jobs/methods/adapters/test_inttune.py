"""IntTune: r^2 numbers a layer."""

from __future__ import annotations

import torch
from torch import nn

from tests.gpu_jobs.methods.adapters.layers import merged_distance, on, planned_and_built, shaken, trained


def test_only_the_core_is_trained() -> None:
    assert trained(on(nn.Linear(12, 9), "inttune", rank=4)) == 4**2
    planned, built, _ = planned_and_built("gpt2", "inttune", rank=4)
    assert planned == built == 2 * 2 * 4**2


def test_the_paper_s_count_is_of_the_cores_alone() -> None:
    """ "3.67M" trained parameters are 224 matrices (7 in each of 32 layers) with r = 128."""
    assert 224 * 128**2 == 3_670_016


def test_the_change_is_b_of_the_core_of_a() -> None:
    linear, x = nn.Linear(12, 9), torch.randn(3, 12)
    layer = shaken(on(linear, "inttune", rank=4, alpha=8))
    weight = linear.weight.detach()
    core = layer.values.N - torch.linalg.pinv(weight[:4, :4])
    expected = linear(x) + 2 * x @ (weight[:, :4] @ core @ weight[:4]).T
    torch.testing.assert_close(layer(x), expected, atol=1e-4, rtol=1e-4)
    assert merged_distance(layer, x) < 1e-4


def test_it_begins_at_the_base() -> None:
    linear, x = nn.Linear(12, 9), torch.randn(3, 12)
    assert on(linear, "inttune", rank=4)(x).equal(linear(x))
