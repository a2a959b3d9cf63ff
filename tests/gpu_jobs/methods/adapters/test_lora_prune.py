"""LoRA-Prune: trained as LoRA, masked when it is merged; what that loses is told."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from gpu_jobs.methods.adapters import lora_prune
from tests.gpu_jobs.methods.adapters.layers import finetune, merged_distance, on, pruned, shaken
from tests.gpu_jobs.training import Bench, Outcome


def test_it_computes_as_lora_and_merges_masked() -> None:
    linear, x = nn.Linear(7, 5), torch.randn(3, 7)
    linear.weight.data[:, ::2] = 0
    weight = linear.weight.clone()
    layer = shaken(on(linear, "lora_prune", rank=2, alpha=4))
    update = 2 * layer.values.B @ layer.values.A
    torch.testing.assert_close(layer(x), x @ (weight + update).T + linear.bias)
    expected = float((x @ (update * (weight == 0)).T).detach().abs().max())
    assert merged_distance(layer, x) == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(linear.weight, weight + update * (weight != 0))


def test_on_a_dense_layer_nothing_is_lost() -> None:
    layer = shaken(on(nn.Linear(7, 5), "lora_prune"))
    lost, whole = lora_prune.dropped(layer.seen, layer.named_values)
    assert float(lost) == 0 < float(whole)
    assert merged_distance(layer, torch.randn(3, 7)) < 1e-5


def test_the_share_that_merging_loses_is_told_at_the_end(bench: Bench, base: Outcome) -> None:
    """Of an update that knows nothing of the zeros, half falls on half of the weights: sqrt(1/2) of its length."""
    method = {"name": "lora_prune", "targets": "all"}
    run = finetune(bench, pruned(bench, base), {"method": method, "optimizer": {"name": "adamw", "lr": 1e-2}})
    told = run.series("dropped/share")
    assert list(told) == [8]
    assert told[8] == pytest.approx(math.sqrt(0.5), abs=0.1)
