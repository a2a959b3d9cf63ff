"""QZO: codes that keep every bit, scales that are trained, and slopes that are clipped."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_jobs import perturbation
from gpu_jobs.engine.loop import update
from gpu_jobs.engine.quantised import Quantised, largest, packed, rounded, unpacked
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.methods.strategies.quadratic import Quadratic, estimates, hooks, is_unbiased
from tests.gpu_jobs.training import Bench, distance

QZO = {"name": "qzo", "group": 8}


def codes(job: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in job.bare.named_buffers() if name.endswith(".codes")}


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_codes_are_packed_and_come_back(bits: int) -> None:
    found = torch.randint(0, 2 * largest(bits) + 1, (3, 2, 8), dtype=torch.uint8)
    assert packed(found, bits).numel() == found.numel() * bits // 8
    assert unpacked(packed(found, bits), bits).equal(found.flatten())


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rounding_is_to_the_nearest_step_and_can_be_repeated(bits: int) -> None:
    """|W - code Delta| <= Delta / 2; rows of 20 inputs are filled up to 24. Zeros stay zeros."""
    layer = torch.nn.Linear(20, 5)
    layer.weight.data[2] = 0
    found = Quantised(layer, bits, 8)
    assert found.scales.shape == (5, 3)
    step = found.scales.repeat_interleave(8, 1)[:, :20]
    assert ((layer.weight - found.weight).abs() <= step / 2 * (1 + 1e-5)).all()
    assert not found.weight[2].any()
    again = rounded(found.weight.detach(), bits, 8)
    assert packed(again[0], bits).equal(found.codes)
    torch.testing.assert_close(again[1], found.scales.detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_codes_keep_every_bit_and_scales_alone_are_trained(bench: Bench, architecture: str) -> None:
    job = jobs.job(bench, QZO, model={"architecture": architecture}, optimizer={"name": "adamw", "lr": 1e-2})
    kept, before = codes(job), jobs.weights(job)
    for number in range(3):
        jobs.step(job, number)
    assert all(value.equal(kept[name]) for name, value in codes(job).items())
    assert jobs.moved(job, before) == {name for name in before if name.endswith(".scales")}
    layers = [layer for layer in job.bare.modules() if isinstance(layer, Quantised)]
    assert job.hooks.trainable_values() == sum(layer.coded_values for layer in layers) // 8
    assert job.facts["plan"]["parameters"] == job.facts["parameters"]


def test_scales_are_put_back_before_the_step(bench: Bench) -> None:
    job = jobs.job(bench, QZO)
    before = jobs.weights(job)
    update(job, 0, rate=0.0)
    assert distance(jobs.weights(job), before) < 1e-6


def test_its_estimate_is_the_gradient_on_average() -> None:
    model = Quadratic()
    assert is_unbiased(estimates(hooks({"name": "qzo", "clip": 1e4}, model), model, 3000), model.gradient)


def test_steep_slopes_are_clipped() -> None:
    model = Quadratic()
    model.b.mul_(100)
    found, free = hooks({"name": "qzo", "clip": 1}, model), hooks({"name": "qzo", "clip": 1e4}, model)
    found.gradients(model.step())
    free.gradients(model.step())
    ((seed, slope),), ((_, whole),) = found.slopes, free.slopes
    assert float(whole.abs()) > 1
    assert float(slope) == float(whole.sign())
    assert (float(found.readings()["zo/clipped"]), float(free.readings()["zo/clipped"])) == (1, 0)
    before = model.x.detach()
    found.update(model.step(rate=0.5))
    z = torch.cat([perturbation.draw(seed, place, value).flatten() for place, value in enumerate(model.parameters())])
    torch.testing.assert_close(model.x.detach(), before - 0.5 * slope * z)


def test_scales_stay_above_zero(bench: Bench) -> None:
    job = jobs.job(bench, QZO, optimizer={"name": "adamw", "lr": 10})
    jobs.step(job)
    scales = torch.cat([value.flatten() for name, value in jobs.weights(job).items() if name.endswith(".scales")])
    assert float(scales.min()) == pytest.approx(1e-7)


def test_codes_take_the_planned_bytes(bench: Bench) -> None:
    job = jobs.job(bench, QZO)
    held = [*job.bare.parameters(), *codes(job).values()]
    assert sum(value.nbytes for value in held) == jobs.planned(job, "weights")
