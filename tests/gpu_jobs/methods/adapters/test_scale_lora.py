"""ScaleLoRA: weights scaled by B A."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.gpu_jobs.methods.adapters.layers import merged_distance, on, shaken, trained


@pytest.mark.parametrize("start", ["paper", "split"])
def test_it_begins_with_scales_of_one(start: str) -> None:
    linear, x = nn.Linear(7, 5), torch.randn(3, 7)
    layer = on(linear, "scale_lora", rank=3, start=start)
    torch.testing.assert_close(layer.values.B @ layer.values.A, torch.ones(5, 7))
    torch.testing.assert_close(layer(x), linear(x), atol=1e-6, rtol=1e-6)
    assert trained(layer) == 3 * (5 + 7)


def test_the_layer_is_w_times_b_a() -> None:
    linear, x = nn.Linear(7, 5), torch.randn(3, 7)
    weight = linear.weight.clone()
    layer = shaken(on(linear, "scale_lora", rank=2))
    expected = x @ (weight * (layer.values.B @ layer.values.A)).T + linear.bias
    torch.testing.assert_close(layer(x), expected)
    assert merged_distance(layer, x) < 1e-5


@pytest.mark.parametrize(("start", "rank"), [("paper", 1), ("split", 3)])
def test_components_that_begin_alike_stay_alike(start: str, rank: int) -> None:
    """The gradients of A and B are B^T G and G A^T: the same for components that are the same."""
    torch.manual_seed(0)
    layer = on(nn.Linear(7, 5), "scale_lora", rank=3, start=start).double()
    optimizer = torch.optim.SGD(layer.values.parameters(), lr=0.5)
    for _ in range(20):
        loss = (layer(torch.randn(16, 7).double()) - torch.randn(16, 5).double()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scales = (layer.values.B @ layer.values.A).detach()
    assert int(torch.linalg.matrix_rank(scales, atol=1e-6)) == rank
