"""MeZO: an unbiased slope, weights that are put back, and a run that can be told by its seeds and slopes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_jobs import perturbation, registry
from gpu_jobs.engine.loop import update
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.methods.strategies.quadratic import Quadratic, estimates, hooks, is_unbiased
from tests.gpu_jobs.training import LORA, Bench, distance

MEZO = {"name": "mezo"}
PLAIN = {"name": "adamw", "lr": 1e-3, "weight_decay": 0}


@pytest.mark.parametrize("probes", [1, 3])
def test_its_estimate_is_the_gradient_on_average(probes: int) -> None:
    """On a quadratic the central difference is exact: g = grad . z, and E[(grad . z) z] = grad."""
    model = Quadratic()
    found = hooks({**MEZO, "probes": probes}, model)
    drawn = estimates(found, model, 3000 // probes)
    assert is_unbiased(drawn, model.gradient)
    assert not is_unbiased(drawn, 1.5 * model.gradient)


def test_its_slope_is_the_derivative_along_z() -> None:
    model = Quadratic()
    found = hooks(MEZO, model)
    loss = found.gradients(model.step(4))
    z = torch.cat([perturbation.draw(found.slopes[0][0], p, v).flatten() for p, v in enumerate(model.parameters())])
    torch.testing.assert_close(found.slopes[0][1], model.gradient @ z, rtol=1e-9, atol=1e-9)
    curvature = z @ model.a @ z / 2 * 1e-3**2
    torch.testing.assert_close(loss, (model.loss() + curvature).detach(), rtol=1e-12, atol=1e-12)


def test_the_weights_are_put_back_before_the_step(bench: Bench) -> None:
    job = jobs.job(bench, {**MEZO, "probes": 2}, optimizer=PLAIN)
    before = jobs.weights(job)
    update(job, 0, rate=0.0)
    assert distance(jobs.weights(job), before) < 1e-6


def test_seeds_and_slopes_tell_the_whole_run(bench: Bench) -> None:
    job = jobs.job(bench, {**MEZO, "probes": 2}, optimizer=PLAIN)
    found: Any = job.hooks
    told, log = jobs.weights(job), []
    for number in range(4):
        jobs.step(job, number)
        log.append(list(found.slopes))
    for slopes in log:
        for seed, slope in slopes:
            for place, value in enumerate(told.values()):
                value -= 1e-3 * slope / 2 * perturbation.draw(seed, place, value)
    assert distance(told, jobs.weights(job)) < 5e-6
    assert {seed for slopes in log for seed, _ in slopes} == {
        perturbation.seed_of(job.spec.seed, number, probe) for number in range(4) for probe in range(2)
    }


def test_only_matrices_decay(bench: Bench) -> None:
    """With equal losses (eps too short to see) the step is the decay alone: W (1 - lr wd)."""
    job = jobs.job(bench, MEZO, optimizer={"name": "adamw", "lr": 0.1, "weight_decay": 0.5})
    found: Any = job.hooks
    before = jobs.weights(job)
    found.slopes = [(3, torch.tensor(0.0))]
    found.update(Quadratic().step(0, rate=0.1))
    for name, value in jobs.weights(job).items():
        assert value.equal(before[name] * (1 - 0.1 * 0.5) if value.ndim >= 2 else before[name])


def test_an_adapter_is_trained_and_its_base_is_not(bench: Bench) -> None:
    job = jobs.job(bench, {**MEZO, "adapter": LORA}, optimizer=PLAIN)
    before = jobs.weights(job)
    jobs.step(job)
    assert jobs.moved(job, before) == {name for name in before if "lora_" in name}


def test_with_the_error_as_target_the_loss_is_the_share_of_wrong_targets(bench: Bench) -> None:
    job = jobs.job(bench, {**MEZO, "target": "error", "eps": 0.05}, optimizer=PLAIN)
    wanted = 4 * (job.spec.sequence_length - 1)
    loss, *_ = jobs.step(job)
    found: Any = job.hooks
    for share in (found.above, found.below):
        assert float(share) * wanted == pytest.approx(round(float(share) * wanted), abs=1e-4)
        assert 0.5 < float(share) <= 1  # a new model with 258 bytes to choose from
    assert float(loss) == pytest.approx(float(found.above + found.below) / 2)


def test_the_error_as_target_needs_an_objective_with_right_answers(bench: Bench) -> None:
    job = jobs.job(bench, {**MEZO, "target": "error"})
    other = registry.methods("objectives")["inverted_hinge"].knobs(name="inverted_hinge")
    job.hooks.spec = job.spec.model_copy(update={"objective": other})
    with pytest.raises(MethodError, match="cross_entropy"):
        job.hooks.begin(job)


def test_the_plan_has_two_forwards_a_probe(bench: Bench) -> None:
    """A training step of all weights is three forwards: 6 N T + 12 L d T^2 against 2 N T + 4 L d T^2."""
    assert jobs.flops({**MEZO, "probes": 3}) * 3 == jobs.flops("full") * 2 * 3
