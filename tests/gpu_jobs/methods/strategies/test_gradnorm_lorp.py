"""GradNormLoRP: the same weight by length and direction, its gradients, and an optimizer in few directions."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_jobs.engine.gain import Gain
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench

METHOD = {"name": "gradnorm_lorp", "rank": 4, "every": 3}


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_it_begins_as_the_weight_it_stands_for(bench: Bench, architecture: str) -> None:
    normed, full = (jobs.job(bench, method, model={"architecture": architecture}) for method in (METHOD, "full"))
    layers = {name: layer for name, layer in normed.bare.named_modules() if isinstance(layer, Gain)}
    assert layers
    for name, layer in layers.items():
        torch.testing.assert_close(layer.weight, full.bare.get_submodule(name).weight, atol=1e-6, rtol=1e-6)


def test_its_gradients_are_those_of_weight_normalisation() -> None:
    """dL/dgain = (dW . v) / |v|;  dL/dv = gain / |v| (dW - (dW . v) v / |v|^2), row by row."""
    torch.manual_seed(0)
    layer, x, up = Gain(torch.nn.Linear(6, 4)), torch.randn(5, 6), torch.randn(5, 4)
    torch.nn.init.normal_(layer.gain)
    gain, v = layer.gain.detach()[:, None], layer.direction.detach()
    layer(x).backward(up)
    assert layer.gain.grad is not None
    whole, length = up.T @ x, v.norm(dim=1, keepdim=True)
    along = (whole * v).sum(1, keepdim=True)
    torch.testing.assert_close(layer.gain.grad[:, None], along / length)
    torch.testing.assert_close(layer.direction.grad, gain / length * (whole - along * v / length**2))


def test_the_length_of_a_row_is_its_gain(bench: Bench) -> None:
    job: Any = jobs.job(bench, METHOD)
    for number in range(4):
        jobs.step(job, number)
    layer = job.bare.model.layers[0].self_attn.q_proj
    torch.testing.assert_close(layer.weight.norm(dim=1), layer.gain.abs())


def test_directions_move_in_the_subspace_and_state_takes_the_planned_bytes(bench: Bench) -> None:
    job = jobs.job(bench, METHOD, optimizer={"name": "adamw", "weight_decay": 0})
    name = "model.layers.0.self_attn.q_proj.direction"
    before = jobs.weights(job)[name]
    for number in range(3):
        jobs.step(job, number)
    change = job.bare.get_parameter(name).detach() - before
    assert torch.linalg.matrix_rank(change, tol=1e-5) == 4
    own = sum(value.nbytes for value in job.hooks.tensors().values())
    assert jobs.state_bytes(job) + own == jobs.planned(job) < jobs.planned(jobs.job(bench, "full"))


def test_what_it_saves_is_a_plain_model(bench: Bench) -> None:
    run = bench.run({"method": METHOD, "steps": 3, "checkpoint_every": 0})
    assert all(name.endswith((".weight", ".bias")) for name in run.weights())
    assert run.facts["parameters"] == run.facts["plan"]["parameters"]
