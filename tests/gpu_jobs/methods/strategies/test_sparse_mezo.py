"""Sparse MeZO: the smallest weights move, the others keep every bit, and no mask is kept."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from gpu_jobs.engine.loop import update
from gpu_jobs.errors import MethodError
from gpu_jobs.methods.strategies.sparse_mezo import threshold
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.methods.strategies.quadratic import Quadratic, estimates, hooks, is_unbiased
from tests.gpu_jobs.training import LORA, Bench, distance

SPARSE = {"name": "sparse_mezo"}
PLAIN = {"name": "adamw", "lr": 1e-3, "weight_decay": 0}


def test_the_smallest_share_of_each_matrix_moves_and_the_rest_keeps_every_bit(bench: Bench) -> None:
    job = jobs.job(bench, {**SPARSE, "share": 0.3})  # with a weight decay
    before = jobs.weights(job)
    jobs.step(job)
    for name, value in jobs.weights(job).items():
        moved, sizes = value != before[name], before[name].abs().flatten()
        if value.ndim < 2:  # norms of ones have no small values
            assert moved.all()
            continue
        assert int(moved.sum()) == math.ceil(0.3 * value.numel())
        assert before[name][moved].abs().max() < sizes[~moved.flatten()].min()


def test_its_estimate_is_the_gradient_of_what_is_masked_in() -> None:
    model = Quadratic()
    found = hooks({**SPARSE, "share": 0.5}, model)
    found.measure()
    mask = torch.cat([(v.abs() <= threshold(v, 0.5)).flatten() for v in model.parameters()]).detach()
    assert int(mask.sum()) == 3 + 1
    drawn = estimates(found, model, 3000)
    assert is_unbiased(drawn, mask * model.gradient)
    assert not drawn[:, ~mask].any()


def test_a_share_of_one_is_mezo(bench: Bench) -> None:
    sparse = jobs.job(bench, {**SPARSE, "share": 1, "probes": 2}, optimizer=PLAIN)
    mezo = jobs.job(bench, {"name": "mezo", "probes": 2}, optimizer=PLAIN)
    for number in range(3):
        jobs.step(sparse, number)
        jobs.step(mezo, number)
    assert distance(jobs.weights(sparse), jobs.weights(mezo)) < 2e-6


def test_probing_moves_nothing_and_keeps_no_mask(bench: Bench) -> None:
    job = jobs.job(bench, SPARSE)
    found: Any = job.hooks
    before = jobs.weights(job)
    update(job, 0, 0.0)
    assert distance(jobs.weights(job), before) == 0
    assert not found.tensors()
    assert all(isinstance(limit, float) for limit in found.thresholds)


def test_the_mask_follows_the_weights() -> None:
    """A weight that has grown beyond the limit of its tensor stands still."""
    model = Quadratic()
    found = hooks({**SPARSE, "share": 0.5}, model)
    found.measure()
    place = int(model.bias.abs().argmin())
    assert found.direction(3, 1, model.bias.detach())[place] != 0
    grown = model.bias.detach().clone()
    grown[place] = 2 * grown.abs().max()
    assert not found.direction(3, 1, grown).any()


def test_what_begins_at_zero_takes_part_whole(bench: Bench) -> None:
    job = jobs.job(bench, {**SPARSE, "adapter": LORA}, optimizer=PLAIN)
    for number in range(2):
        before = jobs.weights(job)
        jobs.step(job, number)
        assert jobs.moved(job, before) == {name for name in before if "lora_" in name}
        for name, value in jobs.weights(job).items():
            assert "lora_B" not in name or bool((value != before[name]).all())


def test_it_can_not_be_compiled() -> None:
    with pytest.raises(MethodError, match="compile"):
        hooks(SPARSE, Quadratic(), compile=True)
