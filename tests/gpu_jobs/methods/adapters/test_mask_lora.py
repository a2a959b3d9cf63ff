"""MaskLoRA: zeros of the base stay zeros, in the file too."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.gpu_jobs.methods.adapters.layers import (
    exported,
    finetune,
    merged_distance,
    on,
    pruned,
    shaken,
    trained,
    zeros,
)
from tests.gpu_jobs.training import Bench, Outcome


def sparse(outputs: int = 5, inputs: int = 7) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    layer.weight.data[torch.rand(outputs, inputs) < 0.5] = 0
    return layer


def test_the_update_is_masked_where_the_weight_is_zero() -> None:
    """h = (W + s M * (B A)) x"""
    linear, x = sparse(), torch.randn(3, 7)
    weight = linear.weight.clone()
    layer = shaken(on(linear, "mask_lora", rank=2, alpha=6))
    update = 6 / 2 * (layer.values.B @ layer.values.A) * (weight != 0)
    torch.testing.assert_close(layer(x), x @ (weight + update).T + linear.bias)
    assert trained(layer) == 2 * (5 + 7)


def test_merging_is_exact_and_keeps_the_zeros() -> None:
    linear = sparse()
    before = linear.weight == 0
    assert merged_distance(shaken(on(linear, "mask_lora")), torch.randn(3, 7)) < 1e-5
    assert (linear.weight == 0).equal(before)


@pytest.mark.parametrize("name", ["mask_lora", "scale_lora", "lora_prune"])
def test_the_exported_file_has_the_zeros_of_the_pruned_base(bench: Bench, base: Outcome, name: str) -> None:
    folder = pruned(bench, base)
    method = {"name": name, "targets": "all"}
    run = finetune(bench, folder, {"method": method, "optimizer": {"name": "adamw", "lr": 1e-2}})
    before, after = zeros(folder), zeros(exported(run, folder))
    assert before.keys() == after.keys()
    assert all(after[place].equal(before[place]) for place in before)
    share = sum(int(place.sum()) for place in after.values()) / sum(place.numel() for place in after.values())
    assert 0.5 <= share < 0.51


def test_a_plain_lora_fills_the_zeros(bench: Bench, base: Outcome) -> None:
    """So that the test above can fail."""
    folder = pruned(bench, base)
    run = finetune(bench, folder, {"method": {"name": "lora", "rank": 2, "targets": "all"}})
    after = zeros(exported(run, folder))
    assert sum(int(place.sum()) for place in after.values()) == 0
