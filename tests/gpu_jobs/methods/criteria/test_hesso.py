"""HESSO: how units are ranked, how they fade to exactly nothing, and that nothing is lost when they are taken out."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.gpu_jobs.methods.criteria.learning import job, shrunk
from tests.gpu_jobs.methods.criteria.scene import module
from tests.gpu_jobs.methods.strategies.jobs import step, weights
from tests.gpu_jobs.training import Bench

HESSO = module("hesso")
STILL = {"optimizer": {"name": "sgd", "lr": 1e-30}}  # moves nothing
IDS = torch.arange(32).reshape(2, 16)


def rows_of(hooks: Any, group: Any, *, kept: bool) -> torch.Tensor:
    """The first layer's rows of the units that are kept, or that go."""
    weight = hooks.layers[group.rows[0]].weight
    found: torch.Tensor = weight.view(group.count, -1)[hooks.kept[group.name] == kept]
    return found


def test_the_saliency_is_the_mean_of_five_criteria_each_of_length_one() -> None:
    """Two groups of two units, by hand."""
    x = [torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[0.0, 2.0], [1.0, 1.0]])]
    g = [torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 1.0], [1.0, -1.0]])]
    table = torch.tensor(  # |x|, |x| / 2, cos + 1, |x g|, (x g)^2 / 2 of the four units
        [[5, 2.5, 1.6, 3, 4.5], [1, 0.5, 1, 0, 0], [2, 1, 2, 2, 2], [2**0.5, 2**0.5 / 2, 1, 0, 0]]
    )
    expected = (0.2 * table / table.norm(dim=0)).sum(1)
    found = HESSO.saliency([HESSO.criteria(*pair) for pair in zip(x, g, strict=True)])
    torch.testing.assert_close(torch.cat(found), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_the_vectors_of_units_hold_every_weight_once(bench: Bench, architecture: str) -> None:
    ready = job(bench, "hesso", {"unit": "ffn"}, model={"architecture": architecture})
    hooks: Any = ready.hooks
    group = hooks.groups[1]
    own = HESSO.parts(group, hooks.layers)
    found = HESSO.vectors(own, group.count)
    assert found.numel() == sum(value.numel() for value, _ in own)
    with torch.no_grad():
        for value, _ in own:
            value.zero_()
        hooks.layers[group.columns[0]].module.weight.fill_(1)
    assert (HESSO.vectors(own, group.count).sum(1) == 16).all()  # a column to the width of the model
    has_bias = hooks.layers[group.rows[0]].module.bias is not None
    assert found.shape[1] == (16 * 2 + 1 if has_bias else 16 * 3)


def test_units_fade_in_equal_parts_to_exactly_nothing(bench: Bench) -> None:
    """Over T steps (T - t - 1) / T of the weights are left after step t; the others stay as they are."""
    ready = job(bench, "hesso", {"unit": "heads+ffn", "start": 0.2, "duration": 0.4}, steps=10, **STILL)
    hooks: Any = ready.hooks
    first = weights(ready)
    for number in range(10):
        step(ready, number)
        done = min(max(number - 1, 0), 4)  # from step 2 on, in 4 steps
        for group in hooks.groups:
            name = f"{group.rows[0]}.weight"
            before = first[name].view(group.count, -1)[~hooks.kept[group.name]]
            gone = rows_of(hooks, group, kept=False)
            torch.testing.assert_close(gone, before * (1 - done / 4), rtol=1e-5, atol=1e-7)
            if done == 4:
                assert not gone.any()
            assert torch.equal(
                rows_of(hooks, group, kept=True), first[name].view(group.count, -1)[hooks.kept[group.name]]
            )
        assert hooks.readings()["prune/left"] == pytest.approx(1 - done / 4)
    assert all(int((~hooks.kept[group.name]).sum()) == group.count // 2 for group in hooks.groups)


@pytest.mark.parametrize(("architecture", "unit"), [("llama", "heads+ffn"), ("gpt2", "ffn")])
def test_units_that_have_faded_can_be_taken_out(bench: Bench, architecture: str, unit: str) -> None:
    ready = job(bench, "hesso", {"unit": unit}, model={"architecture": architecture}, steps=4)
    for number in range(4):
        step(ready, number)
    ready.bare.requires_grad_(False).eval()
    before, numbers = ready.bare(input_ids=IDS).logits, sum(value.numel() for value in ready.bare.parameters())
    small = shrunk(ready.bare, ready.hooks.units())  # type: ignore[attr-defined]
    torch.testing.assert_close(small(input_ids=IDS).logits, before, rtol=1e-4, atol=1e-5)
    assert sum(value.numel() for value in small.parameters()) < numbers
