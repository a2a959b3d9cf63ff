"""IST: how many blocks are trained, what trials leave behind, and what the scores say."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from gpu_jobs import cost
from gpu_jobs.anatomy import block_of
from gpu_jobs.contracts import Step
from gpu_jobs.engine.loop import _forward
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench, same

LORA = {"name": "lora", "rank": 2, "targets": "all"}
IST = {"name": "ist", "adapter": LORA, "share": 0.3, "every": 2}


def trial(job: Any, number: int = 0) -> Step:
    """A step of which only the forward is used."""
    parts = job.batches(job.sampler.indices(number), 1)
    targets = torch.tensor(float(sum(job.objective.count(part) for part in parts)))
    return Step(number, 0.0, lambda: targets, lambda: _forward(job, parts, targets))


def randomise(job: Any) -> None:
    """Updates that do something: LoRA's begin at zero."""
    torch.manual_seed(0)
    for name, value in job.bare.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.5)


@pytest.mark.parametrize("adapter", [LORA, {"name": "svfit", "targets": "all"}])
def test_a_step_trains_the_share_of_blocks_rounded_up_and_logs_which(bench: Bench, adapter: Any) -> None:
    job = jobs.job(bench, {**IST, "adapter": adapter})
    for number in range(4):
        before = jobs.weights(job)
        jobs.step(job, number)
        moved = {block_of(name) for name in jobs.moved(job, before)}
        told = {int(name[13:]) for name, on in job.hooks.readings().items() if name.startswith("active/block_") and on}
        assert moved == told
        assert len(moved) == math.ceil(0.3 * 4)


def test_trials_change_no_weight_and_no_generator(bench: Bench) -> None:
    job = jobs.job(bench, IST)
    randomise(job)
    before, generator = jobs.weights(job), torch.get_rng_state()
    job.hooks.try_out(trial(job))  # type: ignore[attr-defined]
    assert same(jobs.weights(job), before)
    assert torch.get_rng_state().equal(generator)


@pytest.mark.parametrize("adapter", [LORA, {"name": "svfit", "targets": "all"}])
def test_all_blocks_scaled_to_zero_are_the_base(bench: Bench, adapter: Any) -> None:
    job = jobs.job(bench, {**IST, "adapter": adapter, "scale": 0})
    base = trial(job).forward()
    for value in job.hooks.trained().values():
        value.data.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(1)))
    assert abs(trial(job).forward() - base) > 1e-3
    scaled = job.hooks.suppress(torch.arange(4), trial(job).forward)  # type: ignore[attr-defined]
    torch.testing.assert_close(scaled, base, atol=1e-5, rtol=0)


def test_half_scaled_is_half_of_lora_s_own_factor(bench: Bench) -> None:
    job, weaker = jobs.job(bench, {**IST, "scale": 0.5}), jobs.job(bench, {**IST, "adapter": {**LORA, "alpha": 8}})
    randomise(job)
    randomise(weaker)
    scaled = job.hooks.suppress(torch.arange(4), trial(job).forward)  # type: ignore[attr-defined]
    torch.testing.assert_close(scaled, trial(weaker).forward(), atol=1e-5, rtol=0)  # alpha is 16 there


def test_scores_move_by_the_rule(bench: Bench) -> None:
    """Of the blocks that a trial scaled: score += 10 (exp(-loss) - mean) p (1 - p), trial after trial."""
    job = jobs.job(bench, {**IST, "trials": 4, "suppressed": 0.25})
    randomise(job)
    hooks: Any = job.hooks
    tried: list[list[int]] = []
    plain = hooks.suppress
    hooks.suppress = lambda places, forward: (tried.append(places.tolist()), plain(places, forward))[1]
    hooks.try_out(trial(job))
    rewards = [math.exp(-float(plain(torch.tensor(places), trial(job).forward))) for places in tried]
    expected = torch.zeros(4, dtype=torch.float64)
    for places, reward in zip(tried, rewards, strict=True):
        p = 1 / (1 + torch.exp(-expected[places]))
        expected[places] += 10 * (reward - sum(rewards) / 4) * p * (1 - p)
    assert all(len(places) == 1 for places in tried)
    torch.testing.assert_close(hooks.scores, expected)


def test_a_block_whose_update_does_nothing_ends_as_the_least_important(bench: Bench) -> None:
    """The others are trained first, so that scaling them down raises the loss."""
    job = jobs.job(bench, {**IST, "share": 1, "every": 1000}, optimizer={"name": "adamw", "lr": 3e-2})
    for number in range(25):
        jobs.step(job, number)
    for name, value in job.bare.named_parameters():
        if block_of(name) == 2 and "lora_B" in name:
            value.data.zero_()
    hooks: Any = job.hooks
    hooks.scores.zero_()
    for number in range(40):
        hooks.try_out(trial(job, number))
    importance = [hooks.readings()[f"importance/block_{block}"] for block in range(4)]
    assert min(range(4), key=importance.__getitem__) == 2


def test_blocks_are_drawn_by_the_sigmoid_of_their_importance(bench: Bench) -> None:
    """Weights 1/2, 1/2, 1/2 and sigmoid(-2) = 0.119: the last is drawn in 7.4 % of single draws."""
    job = jobs.job(bench, {**IST, "share": 0.25, "every": 100_000})
    hooks: Any = job.hooks
    hooks.scores[3] = 2.0
    draws = []
    for number in range(1, 1201):
        hooks.before_step(trial_free(number))
        draws += hooks.chosen
    p = (1 / (1 + math.e**2)) / (1.5 + 1 / (1 + math.e**2))
    assert abs(draws.count(3) / 1200 - p) < 4 * math.sqrt(p * (1 - p) / 1200)


def trial_free(number: int) -> Step:
    return Step(number, 0.0, lambda: torch.zeros(()), lambda: torch.zeros(()))


def test_trials_are_counted(bench: Bench) -> None:
    """Three forwards every second step, and in them the base again of half of the layers."""
    job, calls = jobs.job(bench, IST), []
    job.bare.get_base_model().register_forward_hook(lambda *_: calls.append(1))
    for number in range(4):
        jobs.step(job, number)
    assert len(calls) == 4 + 2 * 3
    spec = jobs.asked(IST, {})
    plain = spec.model_copy(update={"method": spec.method.model_copy(update={"every": 10**9})})  # type: ignore[attr-defined]
    config: Any = cost.config_of(spec, {})
    shapes: Any = cost.parameters(config, "causal_lm")
    trained = cost.trainable(spec, shapes, config)
    whole, rest = (cost.flops_per_sample(found, shapes, trained, config) for found in (spec, plain))
    forward = cost.forward_flops(shapes | trained, config, 16)
    assert whole - rest == pytest.approx(forward * 3 * 1.5 / 2, rel=1e-6)


def test_gradients_of_the_chosen_blocks_are_those_planned(bench: Bench) -> None:
    job = jobs.job(bench, IST)
    made = []
    plain = job.hooks.update
    job.hooks.update = lambda step: (  # type: ignore[method-assign]
        made.append(sum(p.grad.nbytes for p in job.bare.parameters() if p.grad is not None)),
        plain(step),
    )[1]
    jobs.step(job)
    assert made == [jobs.planned(job, "gradients")]


def test_an_adapter_on_no_layer_is_refused(bench: Bench) -> None:
    with pytest.raises(MethodError, match="blocks"):
        jobs.job(bench, {**IST, "adapter": {"name": "lora", "targets": ["lm_head"]}},
                 model={"tie_embeddings": False})  # fmt: skip
