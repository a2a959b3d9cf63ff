"""LISA: what is drawn is what is trained, all blocks alike, and the optimizer remembers no other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats

from gpu_jobs.anatomy import block_of
from gpu_jobs.engine import optim
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench, distance, same

LISA = {"name": "lisa", "active": 1, "every": 2}
ADAPTED = {**LISA, "adapter": {"name": "lora", "rank": 2, "targets": "all"}}


def active(job: Any) -> set[int]:
    return {int(name.rpartition("_")[2]) for name, value in job.hooks.readings().items() if "block" in name and value}


def test_what_is_logged_is_what_moves_and_changes_every_k_steps(bench: Bench) -> None:
    job = jobs.job(bench, LISA)
    seen = []
    for number in range(8):
        before = jobs.weights(job)
        jobs.step(job, number)
        moved = {block_of(name) for name in jobs.moved(job, before)}
        assert moved == active(job) | {None}
        seen.append(active(job))
    assert all(seen[number] == seen[number + 1] for number in range(0, 8, 2))
    assert len({frozenset(blocks) for blocks in seen}) > 1


def test_embedding_and_norm_are_trained_in_every_step(bench: Bench) -> None:
    job = jobs.job(bench, LISA)
    before = jobs.weights(job)
    jobs.step(job)
    assert {"model.embed_tokens.weight", "model.norm.weight"} <= jobs.moved(job, before)


@pytest.mark.parametrize("count", [1, 2])
def test_all_blocks_are_drawn_equally_often(bench: Bench, count: int) -> None:
    """Chi-square of 2,000 draws, below its 99.9th percentile; draws of several are without replacement."""
    hooks: Any = jobs.job(bench, {**LISA, "active": count}).hooks
    draws = [hooks.draw(number) for number in range(2000)]
    assert all(len(set(draw)) == count for draw in draws)
    counts = torch.bincount(torch.tensor(draws).flatten(), minlength=4).double()
    expected = 2000 * count / 4
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert statistic < stats.chi2.ppf(0.999, df=3)


@pytest.mark.parametrize("method", [LISA, ADAPTED])
def test_the_optimizer_keeps_state_of_what_is_trained_now_and_the_plan_says_how_much(bench: Bench, method: Any) -> None:
    job = jobs.job(bench, method)
    for number in range(5):
        jobs.step(job, number)
        assert jobs.state_bytes(job) == jobs.planned(job)
    trained = {id(value) for value in optim.trainable(job.bare).values()}
    assert {id(parameter) for parameter, state in job.optimizer.state.items() if state} == trained


def test_gradients_are_made_of_what_is_trained_now(bench: Bench) -> None:
    job = jobs.job(bench, LISA)
    job.hooks.before_step(step := _step(job))
    job.hooks.gradients(step)
    made = sum(value.grad.nbytes for value in job.bare.parameters() if value.grad is not None)
    assert made == jobs.planned(job, "gradients")


def _step(job: Any) -> Any:
    from gpu_jobs.contracts import Step
    from gpu_jobs.engine.loop import _backward

    parts = job.batches(job.sampler.indices(0), 1)
    targets = torch.tensor(float(sum(job.objective.count(part) for part in parts)))
    return Step(0, 1e-3, lambda: _backward(job, parts, targets), lambda: targets)


def test_with_all_blocks_active_it_is_full_fine_tuning_bit_for_bit(bench: Bench) -> None:
    lisa, full = (jobs.job(bench, method) for method in ({**LISA, "active": 4}, "full"))
    for number in range(4):
        jobs.step(lisa, number)
        jobs.step(full, number)
    assert same(jobs.weights(lisa), jobs.weights(full))


def test_of_an_adapter_only_what_stands_on_drawn_blocks_moves(bench: Bench) -> None:
    job = jobs.job(bench, ADAPTED)
    before = jobs.weights(job)
    jobs.step(job)
    moved = jobs.moved(job, before)
    assert all("lora_" in name for name in moved)
    assert {block_of(name) for name in moved} == active(job)


def test_flops_are_those_of_full_training_less_the_gradients_of_frozen_blocks(bench: Bench) -> None:
    """A frozen block saves a third of what its matrices cost in full training; here three of four are frozen."""
    shapes = {name: value.shape for name, value in jobs.job(bench, "full").bare.named_parameters()}
    blocks = sum(shape.numel() for name, shape in shapes.items() if block_of(name) is not None and len(shape) == 2)
    tokens = 4 * 16
    assert jobs.flops("full") - jobs.flops(LISA) == 2 * blocks * tokens * 3 // 4


def test_two_ranks_train_what_one_does(bench: Bench) -> None:
    changes = {"model": {**jobs.SIZES, "architecture": "llama"}, "method": LISA, "steps": 5, "checkpoint_every": 0}
    one, two = bench.run(changes), bench.run({**changes, "gpus": 2})
    assert distance(one.weights(), two.weights()) < 1e-5
    assert one.series("active/block_0") == two.series("active/block_0")


def test_fsdp_is_refused_before_anything_is_trained(bench: Bench) -> None:
    with pytest.raises(MethodError, match="parallel to 'ddp'"):
        jobs.job(bench, LISA, gpus=2, parallel="fsdp")


def test_an_adapter_that_stands_in_no_block_is_refused(bench: Bench) -> None:
    with pytest.raises(MethodError, match="blocks"):
        jobs.job(bench, {**LISA, "adapter": {"name": "lora", "targets": ["lm_head"]}},
                 model={"tie_embeddings": False})  # fmt: skip
