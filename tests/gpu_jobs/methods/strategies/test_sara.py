"""SaRA: the smallest entries and no others, until they have grown; the penalty is the nuclear norm's gradient."""

from __future__ import annotations

from typing import Any

import torch

from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench

SARA = {"name": "sara", "share": 0.2, "renew": 3, "penalty": 0}
FAST = {"name": "adamw", "lr": 1e-2}


def test_exactly_the_smallest_share_of_each_weight_moves(bench: Bench) -> None:
    job = jobs.job(bench, SARA, optimizer=FAST)
    before = jobs.weights(job)
    jobs.step(job)
    for name, value in job.bare.named_parameters():
        moved = (value.detach() != before[name]).flatten()
        if ".self_attn." not in name and ".mlp." not in name:
            assert not moved.any()
            continue
        quota = int(0.2 * value.numel())
        smallest = before[name].abs().flatten().topk(quota, largest=False).indices
        assert set(moved.nonzero().flatten().tolist()) == set(smallest.tolist())


def test_at_step_k_those_that_have_grown_stay_and_the_rest_begins_anew(bench: Bench) -> None:
    job = jobs.job(bench, SARA, optimizer=FAST)
    start = jobs.weights(job)
    for number in range(3):
        jobs.step(job, number)
    between = jobs.weights(job)
    before = job.hooks.readings()["active/entries"]
    jobs.step(job, 3)
    done = 0
    for name, value in job.bare.named_parameters():
        if ".self_attn." not in name and ".mlp." not in name:
            continue
        limit = start[name].abs().flatten().topk(int(0.2 * value.numel()), largest=False).values.max()
        chosen = between[name] != start[name]
        grown = chosen & (between[name].abs() > limit)
        done += int(grown.sum())
        assert (value.detach() != between[name]).equal(chosen & ~grown)
    assert done > 0
    assert before - job.hooks.readings()["active/entries"] == done


def test_the_penalty_is_the_gradient_of_the_nuclear_norm_of_the_masked_weight(bench: Bench) -> None:
    job = jobs.job(bench, {**SARA, "penalty": 0.1})
    hooks: Any = job.hooks
    for weight in hooks.slots.weights.values():
        weight.grad = torch.zeros_like(weight)
    hooks.flatten(0)
    found = [part for part in hooks.slots.parts if part.weight.grad.any()]
    assert len(found) == 1
    mask = torch.zeros_like(found[0].weight).flatten()
    mask[found[0].positions] = 1
    free = found[0].weight.detach().clone().requires_grad_(True)
    (0.1 * torch.linalg.svdvals(free * mask.view_as(free)).sum()).backward()
    assert free.grad is not None
    expected, own = free.grad.flatten()[found[0].positions], found[0].weight.grad.flatten()[found[0].positions]
    torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)


def test_state_slots_and_limits_take_the_planned_bytes(bench: Bench) -> None:
    job = jobs.job(bench, SARA)
    jobs.step(job)
    own = sum(value.nbytes for value in job.hooks.tensors().values())
    assert jobs.state_bytes(job) == 8 * job.hooks.trainable_values()
    assert jobs.state_bytes(job) + own == jobs.planned(job)


def test_the_entries_of_the_whole_share_are_all_of_a_weight(bench: Bench) -> None:
    job = jobs.job(bench, {**SARA, "share": 1})
    targeted = sum(v.numel() for n, v in job.bare.named_parameters() if ".self_attn." in n or ".mlp." in n)
    assert job.hooks.trainable_values() == targeted == job.facts["plan"]["parameters"]["trainable"]
