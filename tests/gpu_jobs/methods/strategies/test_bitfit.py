"""BitFit: the biases, counted by formula, and nothing else."""

from __future__ import annotations

import pytest

from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench

WIDTH, LAYERS, FFN = 16, 4, 64
GPT2 = {"architecture": "gpt2"}


def test_exactly_the_biases_move(bench: Bench) -> None:
    job = jobs.job(bench, "bitfit", model=GPT2)
    before = jobs.weights(job)
    for number in range(2):
        jobs.step(job, number)
    assert jobs.moved(job, before) == {name for name in before if name.endswith(".bias")}


def test_they_are_as_many_as_the_architecture_has(bench: Bench) -> None:
    """GPT-2: of a block two norms, query, key and value, their projection, and the two layers of the MLP."""
    job = jobs.job(bench, "bitfit", model=GPT2)
    block = 2 * WIDTH + 3 * WIDTH + WIDTH + FFN + WIDTH
    assert job.hooks.trainable_values() == LAYERS * block + WIDTH


def test_the_optimizer_keeps_what_is_planned(bench: Bench) -> None:
    job = jobs.job(bench, "bitfit", model=GPT2)
    jobs.step(job)
    assert jobs.state_bytes(job) == jobs.planned(job) == 8 * job.hooks.trainable_values()


def test_a_model_without_biases_is_refused(bench: Bench) -> None:
    with pytest.raises(MethodError, match="biases"):
        jobs.job(bench, "bitfit")
