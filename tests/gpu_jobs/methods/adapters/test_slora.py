"""SLoRA: B N A."""

from __future__ import annotations

import torch
from torch import nn

from tests.gpu_jobs.methods.adapters.layers import merged_distance, on, planned_and_built, shaken, trained


def test_it_begins_at_the_base_and_counts_the_core() -> None:
    linear, x = nn.Linear(12, 9), torch.randn(3, 12)
    layer = on(linear, "slora", rank=4)
    assert layer(x).equal(linear(x))
    assert trained(layer) == 4 * (9 + 12) + 4**2
    planned, built, _ = planned_and_built("bert", "slora", rank=4)
    assert planned == built


def test_with_the_identity_in_the_middle_it_is_lora() -> None:
    linear, x = nn.Linear(12, 9), torch.randn(3, 12)
    layer = shaken(on(linear, "slora", rank=4, alpha=8))
    layer.values.N.data = torch.eye(4)
    torch.testing.assert_close(layer(x), linear(x) + 8 / 4 * x @ (layer.values.B @ layer.values.A).T)
    assert merged_distance(layer, x) < 1e-5
