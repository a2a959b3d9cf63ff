"""Sparse fine-tuning, grown: as many entries as ever, moved by the rules, from and to the base's own bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench

SFT = {"name": "sft_grow", "density": 0.05, "every": 3, "accumulation": 2, "rate": 0.5}
PLAIN = {"name": "adamw", "lr": 1e-2, "weight_decay": 0}


def differing(job: Any, start: dict[str, torch.Tensor]) -> dict[str, int]:
    return {name: int((value.detach() != start[name]).sum()) for name, value in job.bare.named_parameters()}


def test_no_weight_ever_differs_from_the_base_in_more_than_its_quota(bench: Bench) -> None:
    job = jobs.job(bench, SFT)
    start = jobs.weights(job)
    layers = {name for name in start if ".self_attn." in name or ".mlp." in name}
    for number in range(8):
        jobs.step(job, number)
        for name, count in differing(job, start).items():
            assert count <= (int(0.05 * start[name].numel()) if name in layers else 0)
        assert len(set(job.hooks.slots.place.tolist())) == job.hooks.trainable_values()  # type: ignore[attr-defined]


def test_what_is_trained_is_the_density_of_each_weight(bench: Bench) -> None:
    """Per block: 4 squares of width 16 and 3 matrices of 16 x 64 in this llama."""
    job = jobs.job(bench, SFT)
    ffn = job.bare.config.intermediate_size
    assert job.hooks.trainable_values() == 4 * (4 * int(0.05 * 16 * 16) + 3 * int(0.05 * 16 * ffn))
    assert job.facts["parameters"]["trainable"] == job.hooks.trainable_values()


def test_moving_entries_only_puts_dropped_ones_back_to_the_base(bench: Bench) -> None:
    """Step 3 moves a share of 0.5 (1 - 3/100): the least changed of each row go, and grown ones begin at zero."""
    job = jobs.job(bench, SFT, optimizer=PLAIN)
    start = jobs.weights(job)
    for number in range(3):
        jobs.step(job, number)
    hooks: Any = job.hooks
    before, places = jobs.weights(job), hooks.slots.place.clone()
    change = (hooks.slots.values.detach() - hooks.slots.start).abs()
    for value in hooks.slots.weights.values():
        value.grad = torch.ones_like(value)
    hooks.move(0.5 * (1 - 3 / 100))
    gone = (places != hooks.slots.place).nonzero().flatten()
    assert len(gone) == hooks.moved > 0
    for _, row, _ in hooks.rows():
        inside = gone[(gone >= row.start) & (gone < row.stop)]
        kept = torch.tensor(sorted(set(range(row.start, row.stop)) - set(inside.tolist())), dtype=torch.int64)
        assert len(inside) <= int(0.5 * (1 - 3 / 100) * (row.stop - row.start))
        if len(inside):
            assert change[inside].max() <= change[kept].min()
    offset = 0
    for name, value in hooks.slots.weights.items():
        own = places[gone][(places[gone] >= offset) & (places[gone] < offset + value.numel())] - offset
        expected = before[name].clone().flatten()
        expected[own] = start[name].flatten()[own]
        assert value.detach().flatten().equal(expected)
        offset += value.numel()
    assert hooks.slots.values.detach()[gone].equal(hooks.slots.start[gone])
    for state in job.optimizer.state[hooks.slots.values].values():
        assert not state.ndim or not state[gone].any()


def test_entries_grow_where_the_summed_gradient_is_longest(bench: Bench) -> None:
    job = jobs.job(bench, SFT, optimizer=PLAIN)
    jobs.step(job)
    hooks: Any = job.hooks
    weight, row, offset = hooks.rows()[0]
    free = torch.tensor([place for place in range(weight.numel()) if place + offset not in hooks.slots.place[row]])
    count = row.stop - row.start
    hooks.candidates[row] = free[:count] + offset
    hooks.sums[row] = torch.arange(count).float() * torch.tensor([1.0, -1.0]).repeat(count)[:count]
    hooks.move(2 / count)
    fresh = set(hooks.slots.place[row].tolist()) & set((free + offset).tolist())
    assert fresh == set((free[count - 2 : count] + offset).tolist())


def test_with_density_one_it_is_full_fine_tuning_of_those_layers(bench: Bench) -> None:
    sparse = jobs.job(bench, {**SFT, "density": 1}, optimizer=PLAIN, clip_norm=0)
    full = jobs.job(bench, "full", optimizer=PLAIN, clip_norm=0)
    for name, value in full.bare.named_parameters():
        value.requires_grad_(".self_attn." in name or ".mlp." in name)
    for number in range(5):
        jobs.step(sparse, number)
        jobs.step(full, number)
    for one, other in zip(jobs.weights(sparse).values(), jobs.weights(full).values(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_state_slots_and_candidates_take_the_planned_bytes(bench: Bench) -> None:
    job = jobs.job(bench, SFT)
    jobs.step(job)
    own = sum(value.nbytes for value in job.hooks.tensors().values())
    assert jobs.state_bytes(job) == 8 * job.hooks.trainable_values()
    assert jobs.state_bytes(job) + own == jobs.planned(job)


def test_a_new_head_is_trained_whole(bench: Bench) -> None:
    vit = {"architecture": "vit", "image_size": 8, "patch_size": 2, "channels": 1}
    job = jobs.job(bench, SFT, model=vit, data={"source": "builtin", "name": "digits"})
    before = jobs.weights(job)
    jobs.step(job)
    assert differing(job, before)["classifier.bias"] == 10
    assert job.facts["plan"]["parameters"] == job.facts["parameters"]
    own = sum(value.nbytes for value in job.hooks.tensors().values())
    assert jobs.state_bytes(job) + own == jobs.planned(job)


def test_targets_that_are_nowhere_are_an_error_that_names_those_there_are(bench: Bench) -> None:
    with pytest.raises(MethodError, match="q_proj"):
        jobs.job(bench, {**SFT, "targets": ["nowhere"]})
