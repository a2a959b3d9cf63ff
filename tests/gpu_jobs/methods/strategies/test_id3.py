"""ID3: how many entries are trained when, which they are, and that nothing else moves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gpu_jobs import registry
from gpu_jobs.contracts import Step
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench

STEPS, BUDGET = 7, 100
ID3 = {"name": "id3", "budget": BUDGET}


def flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten() for value in tensors.values()])


def follow(job: Any, steps: int = STEPS) -> list[tuple[Tensor, Tensor, Tensor]]:
    """For each step, flat: weights before it, gradients, and which entries moved."""
    seen: list[Tensor] = []
    plain = job.hooks.gradients

    def remember(step: Step) -> Tensor:
        loss: Tensor = plain(step)
        found = {n: torch.zeros_like(v) if v.grad is None else v.grad.clone() for n, v in job.hooks.trained().items()}
        seen.append(flat(found))
        return loss

    job.hooks.gradients, told = remember, []
    for number in range(steps):
        before = flat({n: v.detach().clone() for n, v in job.hooks.trained().items()})
        jobs.step(job, number)
        after = flat({n: v.detach() for n, v in job.hooks.trained().items()})
        told.append((before, seen[-1], before != after))
    return told


def trained(job: Any) -> set[int]:
    return set(job.hooks.slots.place.tolist()) - {-1}


def test_after_step_t_of_big_t_the_floor_of_budget_t_by_big_t_are_trained_and_none_leaves(bench: Bench) -> None:
    job, before = jobs.job(bench, ID3, steps=STEPS), set()
    for number in range(STEPS):
        jobs.step(job, number)
        now = trained(job)
        assert len(now) == BUDGET * (number + 1) // STEPS == job.hooks.readings()["active/entries"]
        assert before <= now
        before = now


def test_only_unmasked_entries_move(bench: Bench) -> None:
    job = jobs.job(bench, ID3, steps=STEPS)
    masks = [moved for _, _, moved in follow(job)]
    ever = torch.stack(masks).any(0).nonzero().flatten().tolist()
    assert set(ever) == trained(job)


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_those_with_the_largest_score_join(bench: Bench, power: float) -> None:
    """With power 0 that is the longest gradient."""
    job = jobs.job(bench, {**ID3, "power": power}, steps=STEPS, clip_norm=0)
    active: set[int] = set()
    for number, (weight, gradient, _) in enumerate(follow(job)):
        score = gradient.abs() / (weight.abs() + 1e-3) ** power
        score[list(active)] = -1
        more = BUDGET * (number + 1) // STEPS - len(active)
        active |= set(score.topk(more).indices.tolist())
    assert active == trained(job)


def test_with_the_whole_model_as_budget_of_one_step_it_is_full_fine_tuning(bench: Bench) -> None:
    plain = {"name": "adamw", "lr": 1e-2, "weight_decay": 0}
    runs = [jobs.job(bench, method, optimizer=plain, steps=1, clip_norm=0) for method in
            ({"name": "id3", "budget": 10**6}, "full")]  # fmt: skip
    for job in runs:
        jobs.step(job)
    for one, other in zip(*(jobs.weights(job).values() for job in runs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-6)


def test_state_and_slots_take_the_planned_bytes(bench: Bench) -> None:
    job = jobs.job(bench, ID3, steps=STEPS)
    jobs.step(job)
    own = sum(value.nbytes for value in job.hooks.tensors().values())
    assert jobs.state_bytes(job) == 8 * BUDGET
    assert jobs.state_bytes(job) + own == jobs.planned(job)


@pytest.mark.parametrize("optimizer", sorted(registry.methods("optimizers")))
def test_it_wraps_any_optimizer(bench: Bench, optimizer: str) -> None:
    job = jobs.job(bench, ID3, steps=STEPS, optimizer={"name": optimizer})
    for number, (_, _, moved) in enumerate(follow(job, 3)):
        assert 0 < int(moved.sum()) <= BUDGET * (number + 1) // STEPS


def test_of_an_adapter_it_unmasks_entries_too(bench: Bench) -> None:
    job = jobs.job(bench, {**ID3, "adapter": {"name": "lora", "rank": 2}}, steps=STEPS)
    before = jobs.weights(job)
    jobs.step(job)
    assert jobs.moved(job, before)
    assert all("lora_" in name for name in jobs.moved(job, before))
    assert job.hooks.trainable_values() == job.facts["plan"]["parameters"]["trainable"] == BUDGET
