"""DSEE: a low-rank and a sparse part."""

from __future__ import annotations

import torch
from torch import nn

from gpu_jobs.methods.adapters import dsee
from tests.gpu_jobs.methods.adapters.layers import merged_distance, on, planned_and_built, shaken, trained


def test_the_update_is_low_rank_plus_sparse() -> None:
    linear, x = nn.Linear(12, 9), torch.randn(3, 12)
    layer = on(linear, "dsee", rank=2, alpha=6, entries=5)
    assert layer(x).equal(linear(x))
    shaken(layer)
    sparse = torch.zeros(9 * 12)
    sparse[layer.values.places] = layer.values.S.detach()
    update = 6 / 2 * layer.values.B @ layer.values.A + sparse.view(9, 12)
    torch.testing.assert_close(layer(x), linear(x) + x @ update.T)
    assert int((sparse != 0).sum()) == 5
    assert merged_distance(layer, x) < 1e-5


def test_it_counts_r_times_in_and_out_and_the_entries() -> None:
    assert trained(on(nn.Linear(12, 9), "dsee", rank=2, entries=5)) == 2 * (9 + 12) + 5
    for architecture in ("llama", "gpt2", "bert", "vit"):
        planned, built, _ = planned_and_built(architecture, "dsee", entries=5)
        assert planned == built


def test_entries_that_no_low_rank_matrix_has_are_found() -> None:
    torch.manual_seed(0)
    weight = torch.randn(9, 2) @ torch.randn(2, 12) * 0.01
    weight[3, 7], weight[8, 1] = 5.0, -4.0
    assert set(dsee.far(weight, 0, 2).tolist()) == {3 * 12 + 7, 8 * 12 + 1}
    low = torch.randn(9, 2) @ torch.randn(2, 12)
    low[4, 4] += 0.5
    assert dsee.far(low, 2, 1).tolist() == [4 * 12 + 4]


def test_more_entries_than_the_weight_has_are_all() -> None:
    assert len(on(nn.Linear(3, 2), "dsee", entries=99).values.S) == 6
