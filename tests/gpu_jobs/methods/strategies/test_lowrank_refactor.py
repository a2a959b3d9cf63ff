"""Low-rank refactoring: balanced factors of the same product, moments at zero, and a plain model in the end."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_jobs.engine.lowrank import LowRank
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench

METHOD = {"name": "lowrank_refactor", "rank": 4, "every": 3}


def test_refactoring_keeps_the_product_and_balances_the_factors() -> None:
    """B^T B = A A^T = S, the singular values of the product."""
    torch.manual_seed(0)
    layer = LowRank(torch.nn.Linear(12, 20), 4)
    torch.nn.init.normal_(layer.left)
    torch.nn.init.normal_(layer.right, std=3)
    product = layer.weight.detach()
    layer.balance()
    values = torch.linalg.svdvals(product)[:4]
    torch.testing.assert_close(layer.weight.detach(), product, atol=1e-5, rtol=1e-6)
    torch.testing.assert_close(layer.left.T @ layer.left, values.diag(), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(layer.right @ layer.right.T, values.diag(), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("reset", [True, False])
def test_moments_are_exactly_zero_after_it_when_that_is_asked_for(bench: Bench, reset: bool) -> None:
    job = jobs.job(bench, {**METHOD, "reset": reset})
    for number in range(3):
        jobs.step(job, number)
        factors = {id(f) for layer in job.hooks.factored().values() for f in (layer.left, layer.right)}  # type: ignore[attr-defined]
        of_factors = [
            value for parameter, state in job.optimizer.state.items() if id(parameter) in factors
            for value in state.values() if value.ndim
        ]  # fmt: skip
        assert any(bool(value.any()) for value in of_factors) is not (reset and number == 2)
    embedding = job.optimizer.state[job.bare.model.embed_tokens.weight]
    assert embedding["exp_avg"].any()


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_it_begins_as_the_best_approximation_of_its_rank(bench: Bench, architecture: str) -> None:
    """Eckart-Young: what is missing are the singular values behind the fourth."""
    factored, full = (jobs.job(bench, method, model={"architecture": architecture}) for method in (METHOD, "full"))
    for name, layer in factored.hooks.factored().items():  # type: ignore[attr-defined]
        weight = full.bare.get_submodule(name).weight
        missing = torch.linalg.svdvals(weight)[4:]
        off = (layer.weight - weight).square().sum()
        torch.testing.assert_close(off, missing.square().sum(), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_factors_one_after_the_other_and_multiplied_out_are_the_same_layer(bench: Bench, architecture: str) -> None:
    layer = next(iter(jobs.job(bench, METHOD, model={"architecture": architecture}).hooks.factored().values()))  # type: ignore[attr-defined]
    x = torch.randn(2, 3, layer.right.shape[1])
    torch.testing.assert_close(layer.train()(x), layer.eval()(x), atol=1e-5, rtol=1e-5)


def test_weights_are_counted_by_the_factors(bench: Bench) -> None:
    """r (in + out) for each matrix, and nothing of the weight that is gone."""
    job, full = jobs.job(bench, METHOD), jobs.job(bench, "full")
    ffn = job.bare.config.intermediate_size
    factors = 4 * (4 * 4 * (16 + 16) + 3 * 4 * (16 + ffn))
    gone = 4 * (4 * 16 * 16 + 3 * 16 * ffn)
    assert job.facts["parameters"]["total"] == full.facts["parameters"]["total"] - gone + factors
    assert job.facts["parameters"] == job.facts["plan"]["parameters"]
    jobs.step(job)
    assert jobs.state_bytes(job) == jobs.planned(job)


def test_what_is_pretrained_is_a_plain_model_that_a_later_run_takes_up(bench: Bench) -> None:
    run = bench.run({"method": METHOD, "steps": 6, "checkpoint_every": 0})
    assert all("left" not in name and "right" not in name for name in run.weights())
    again = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}, "steps": 1, "eval_before": True},
        inputs={"run:1": run.work_dir / "model"},
    )
    assert again.last.values["before"]["eval/loss"] == run.last.values["quality"]["eval/loss"]


def test_its_flops_are_those_of_its_factors(bench: Bench) -> None:
    """Three products, of 2 r (in + out) each, in the place of three of 2 in out."""
    ffn = jobs.job(bench, METHOD).bare.config.intermediate_size
    more = 4 * (4 * (4 * 32 - 256) + 3 * (4 * (16 + ffn) - 16 * ffn))
    assert jobs.flops(METHOD) - jobs.flops("full") == 3 * 2 * more * 4 * 16


def test_a_classifier_s_head_stays_whole(bench: Bench) -> None:
    vit = {"architecture": "vit", "image_size": 8, "patch_size": 2, "channels": 1}
    job: Any = jobs.job(bench, METHOD, model=vit, data={"source": "builtin", "name": "digits"})
    assert isinstance(job.bare.classifier, torch.nn.Linear)
    assert job.facts["parameters"] == job.facts["plan"]["parameters"]
