"""The zeroth-order family: every rule by its equation, and derivatives along a direction that are exact."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpu_jobs import perturbation
from gpu_jobs.engine.loop import update
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.methods.strategies.quadratic import Quadratic, estimates, hooks, is_unbiased
from tests.gpu_jobs.training import Bench, distance

PLAIN = {"name": "adamw", "lr": 1e-3, "weight_decay": 0}


def kind(name: str, **knobs: Any) -> dict[str, Any]:
    return {"name": "zo_family", "rule": name, **knobs}


def walk(found: Any, model: Quadratic, rates: list[float]) -> list[torch.Tensor]:
    """Steps at these rates; returns the estimate of each."""
    told = []
    for number, rate in enumerate(rates):
        step = model.step(number, rate)
        found.gradients(step)
        with torch.no_grad():
            parts = [found.estimate(place, value).flatten() for place, value in enumerate(model.parameters())]
        told.append(torch.cat(parts))
        found.update(step)
    return told


def test_zo_sgd_is_mezo_to_the_bit(bench: Bench) -> None:
    one, other = jobs.job(bench, kind("zo_sgd", probes=2)), jobs.job(bench, {"name": "mezo", "probes": 2})
    for number in range(2):
        jobs.step(one, number)
        jobs.step(other, number)
    assert distance(jobs.weights(one), jobs.weights(other)) == 0


def test_a_sign_step_has_entries_of_one_size() -> None:
    model = Quadratic()
    before = model.x.detach()
    (e,) = walk(hooks(kind("zo_sign", probes=2), model), model, [0.25])
    torch.testing.assert_close(model.x.detach(), before - 0.25 * e.sign())


def test_momentum_remembers() -> None:
    model = Quadratic()
    before, found = model.x.detach(), hooks(kind("zo_momentum", beta1=0.8), model)
    found.clear()
    one, two = walk(found, model, [0.01, 0.02])
    torch.testing.assert_close(model.x.detach(), before - 0.01 * one - 0.02 * (0.8 * one + two))


def test_adam_is_torchs_adam_on_the_estimates() -> None:
    model = Quadratic()
    found = hooks(kind("zo_adam", probes=2), model)
    found.clear()
    twin = torch.nn.Parameter(model.x.detach())
    adam = torch.optim.Adam([twin], lr=0.01)
    for e in walk(found, model, [0.01] * 5):
        twin.grad = e
        adam.step()
    torch.testing.assert_close(model.x.detach(), twin.detach(), atol=1e-6, rtol=0)


def test_conservative_never_raises_the_loss_of_the_batch() -> None:
    """At a rate at which plain steps blow up; it stays where neither side is lower."""
    model, kept = Quadratic(), set()
    found = hooks(kind("zo_conservative"), model)
    for number in range(60):
        before, start = float(model.loss().detach()), model.x.detach()
        walk_one(found, model, number, 1.0)
        assert float(model.loss().detach()) <= before
        assert found.kept or model.x.equal(start)
        kept.add(found.kept)
    assert {0, -1} <= kept
    wild = Quadratic()
    walk(hooks(kind("zo_sgd"), wild), wild, [1.0] * 60)
    assert not float(wild.loss().detach()) < 1e6


def walk_one(found: Any, model: Quadratic, number: int, rate: float) -> None:
    found.gradients(model.step(number, rate))
    found.update(model.step(number, rate))


def test_conservative_never_raises_the_loss_of_a_models_batch(bench: Bench) -> None:
    job = jobs.job(bench, kind("zo_conservative"), optimizer={"name": "adamw", "lr": 0.3})
    for number in range(3):
        before = loss(job, number)
        jobs.step(job, number)
        assert float(loss(job, number)) <= float(before)


def loss(job: Any, number: int) -> torch.Tensor:
    """Of this step's batch."""
    (batch,) = job.batches(job.sampler.indices(number), 1)
    job.model.eval()
    with torch.no_grad():
        found: torch.Tensor = job.loss_sum(job.model, batch) / job.objective.count(batch)
    return found


def test_a_forward_gradient_is_exact_along_its_direction(bench: Bench) -> None:
    """grad L . v by forward mode, by torch.func.jvp and by the backward."""
    job = jobs.job(bench, kind("forward_grad"))
    told = update(job, 0, 0.0)
    ((seed, slope),) = job.hooks.slopes  # type: ignore[attr-defined]
    weights = dict(job.bare.named_parameters())
    v = {name: perturbation.draw(seed, place, value) for place, (name, value) in enumerate(weights.items())}
    (batch,) = job.batches(job.sampler.indices(0), 1)

    def of(values: dict[str, torch.Tensor]) -> torch.Tensor:
        def model(**inputs: Any) -> Any:
            return functional_call(job.bare.eval(), values, kwargs=inputs)

        return job.loss_sum(model, batch) / job.objective.count(batch)  # type: ignore[no-any-return]

    with sdpa_kernel(SDPBackend.MATH):
        primal, tangent = jvp(of, ({name: value.detach() for name, value in weights.items()},), (v,))
        gradients = torch.autograd.grad(of(weights), list(weights.values()))  # type: ignore[arg-type]
    by_backward = sum(float((g * z).sum()) for g, z in zip(gradients, v.values(), strict=True))
    torch.testing.assert_close(slope, tangent.float(), rtol=1e-4, atol=1e-4)  # which jvp widens
    assert float(slope) == pytest.approx(by_backward, rel=1e-3, abs=1e-3)
    assert float(told[0]) == pytest.approx(float(primal), rel=1e-6)


def test_forward_gradients_are_the_gradient_on_average() -> None:
    model = Quadratic()
    found = hooks(kind("forward_grad"), model)
    drawn = estimates(found, model, 2000)
    assert is_unbiased(drawn, model.gradient)
    z = torch.cat([perturbation.draw(found.slopes[0][0], p, v).flatten() for p, v in enumerate(model.parameters())])
    torch.testing.assert_close(found.slopes[0][1], model.gradient @ z)


def test_its_state_takes_the_planned_bytes(bench: Bench) -> None:
    for name in ("zo_sgd", "zo_momentum", "zo_adam"):
        job = jobs.job(bench, kind(name))
        assert sum(value.nbytes for value in job.hooks.tensors().values()) == jobs.planned(job)


def test_the_plan_counts_its_forwards() -> None:
    """A forward with tangents has three products in the place of each."""
    one = jobs.flops(kind("zo_sgd")) // 2
    assert jobs.flops(kind("zo_conservative")) == 5 * one
    assert jobs.flops(kind("forward_grad", probes=2)) == 6 * one


def test_what_it_can_not_do_is_said() -> None:
    with pytest.raises(MethodError, match="gpus"):
        hooks(kind("forward_grad"), Quadratic(), gpus=2)
    with pytest.raises(MethodError, match="compile"):
        hooks(kind("zo_conservative"), Quadratic(), compile=True)
