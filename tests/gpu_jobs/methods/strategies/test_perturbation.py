"""Forward-only methods: directions come from seeds, and nothing of a backward is ever there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gpu_jobs import perturbation, registry
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench, Outcome, distance

FORWARD_ONLY = [
    name for name, method in registry.methods("strategies").items() if getattr(method.module, "IS_FORWARD_ONLY", False)
]


def refuse(tensor: torch.Tensor) -> torch.Tensor:
    raise AssertionError(f"a tensor {tuple(tensor.shape)} was kept for a backward")


@pytest.mark.parametrize("name", FORWARD_ONLY)
def test_no_gradient_no_state_and_nothing_for_a_backward_is_ever_made(bench: Bench, name: str) -> None:
    job = jobs.job(bench, name)
    with torch.autograd.graph.saved_tensors_hooks(refuse, refuse):
        for number in range(2):
            jobs.step(job, number)
    assert all(value.grad is None for value in job.bare.parameters())
    assert not list(jobs.state_tensors(job))
    assert jobs.planned(job, "gradients") == 0


def test_draws_are_standard_normal_and_have_nothing_in_common() -> None:
    """Of n values the mean has the standard error n^-1/2, the variance (2/n)^1/2, a correlation n^-1/2."""
    n, like = 10_000, torch.zeros(100, 100)
    one = perturbation.draw(7, 0, like).flatten()
    assert one.equal(perturbation.draw(7, 0, like).flatten())
    assert abs(one.mean()) < 4 / n**0.5
    assert abs(one.var() - 1) < 4 * (2 / n) ** 0.5
    for seed, place in ((7, 1), (8, 0), (perturbation.seed_of(7), 0)):
        other = perturbation.draw(seed, place, like).flatten()
        assert abs((one * other).mean()) < 4 / n**0.5


def test_the_model_sees_changed_weights_and_keeps_its_own() -> None:
    """A weight that two layers share is changed in both."""
    model: Any = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    before, x = model[0].weight.detach().clone(), torch.ones(1, 3)
    with torch.no_grad(), perturbation.seen_as(model, dict(model.named_parameters()), lambda _, value: 2 * value):
        seen = model(x)
        assert model[0].weight.equal(2 * before)
    assert seen.equal(x @ (2 * before).T @ (2 * before).T)
    assert model[0].weight.equal(before)
    assert list(dict(model.named_parameters())) == ["0.weight"]


@pytest.mark.parametrize(("name", "parallel"), [("mezo", "ddp"), ("mezo", "fsdp"), ("sparse_mezo", "ddp")])
def test_two_processes_draw_the_same_directions(bench: Bench, base: Outcome, name: str, parallel: str) -> None:
    """Sums in another order change a slope by 1e-7 / eps, and the weights by lr times that."""
    changes = {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": {"name": name}, "steps": 3,
               "eval_every": 0, "checkpoint_every": 0, "optimizer": {"name": "adamw", "lr": 1e-3}}  # fmt: skip
    inputs = {"run:1": base.work_dir / "model"}
    alone = bench.run(changes, inputs=inputs)
    both = bench.run({**changes, "gpus": 2, "parallel": parallel}, inputs=inputs)
    assert distance(alone.weights(), load_file(base.work_dir / "model/model.safetensors")) > 1e-4
    assert distance(both.weights(), alone.weights()) < 1e-5
