"""THOR: chance is even, belongs to the training's generator, and with one expert there is none."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from gpu_jobs import shapes
from gpu_jobs.events import Result
from tests.gpu_jobs.methods.architectures.small import IDS, build, config, disturb, logits, readings, source
from tests.gpu_jobs.training import Bench


def thor(**knobs: Any) -> Any:
    model = build("thor", **knobs)
    disturb(model)
    return model


def test_one_expert_is_the_llama_of_transformers() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    model = thor(experts=1, layers=3)
    known = LlamaConfig().to_dict()
    fields = {key: value for key, value in config("thor", layers=3).items() if key in known} | {"pad_token_id": 257}
    llama = LlamaForCausalLM(LlamaConfig(**fields))
    state = {key.replace(".stack.", ".").replace("experts.0.", ""): value for key, value in model.state_dict().items()}
    llama.load_state_dict(state)
    for mode in (True, False):
        with torch.no_grad():
            ours, theirs = (each.train(mode)(input_ids=IDS).logits for each in (model, llama))
        assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(("drawn", "draws"), [("batch", 1), ("sample", 8), ("token", 8 * 20)])
def test_experts_are_used_evenly(drawn: str, draws: int) -> None:
    """n draws with probability 1/E: within 4 standard errors of it."""
    model, passes = build("thor", experts=4, drawn=drawn, layers=2), 200 // math.ceil(math.sqrt(draws))
    ids = torch.arange(160).reshape(8, 20)
    torch.manual_seed(5)
    with torch.no_grad():
        for _ in range(passes):
            model(input_ids=ids)
    told = readings(model)
    error = math.sqrt(0.25 * 0.75 / (draws * passes))
    assert all(abs(value - 0.25) < 4 * error for value in told.values())
    assert sum(told.values()) == pytest.approx(1)


@pytest.mark.parametrize("level", ["batch", "sample", "token"])
def test_a_draw_is_for_what_the_knob_says(level: str) -> None:
    model = build("thor", experts=8, drawn=level, layers=1)
    layer, x = model.model.stack.layers[0], torch.zeros(6, 20, 32)
    torch.manual_seed(0)
    drawn = layer._draw(x)
    assert drawn.shape == (6, 20)
    within = all(len(row.unique()) == 1 for row in drawn)
    assert within is (level != "token")
    assert (len(drawn.unique()) == 1) is (level == "batch")


def test_two_passes_of_the_training_differ_and_a_seed_brings_them_back() -> None:
    model = thor(drawn="token")

    def passes(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        with torch.no_grad():
            return torch.stack([model.train()(input_ids=IDS).logits for _ in range(2)])

    first = passes(1)
    assert not torch.allclose(first[0], first[1], atol=1e-3)
    assert first.equal(passes(1)) and not first.equal(passes(2))


def test_evaluation_draws_from_a_generator_of_its_own() -> None:
    """Random experts, too; the same each time, others with another seed."""
    one, other = (thor(inference_seed=seed) for seed in (0, 1))
    assert not torch.allclose(logits(one, input_ids=IDS), logits(other, input_ids=IDS), atol=1e-3)
    used = one.eval().model.stack.layers[0]._draw(torch.zeros(2, 20, 32))
    assert used.unique().tolist() == [0, 1]


@pytest.mark.parametrize(("every", "with_experts"), [(1, [0, 1, 2, 3]), (2, [0, 2]), (3, [0, 3])])
def test_every_so_many_blocks_have_experts(every: int, with_experts: list[int]) -> None:
    knobs = {"layers": 4, "every": every, "experts": 3}
    found = shapes.parameters(config("thor", **knobs), "causal_lm")
    assert found == {key: tuple(value.shape) for key, value in build("thor", **knobs).named_parameters()}
    assert sorted({int(name.split(".")[3]) for name in found if "experts" in name}) == with_experts


def test_only_the_expert_that_was_drawn_learns() -> None:
    model = build("thor", experts=3, drawn="batch", layers=1)
    torch.manual_seed(0)
    model(input_ids=IDS).logits.square().mean().backward()
    load = readings(model)
    for number, expert in enumerate(model.model.stack.layers[0].experts):
        worked = any(bool(value.grad.any()) for value in expert.parameters())
        assert worked is (load[f"router/load_{number}"] == 1)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_may_draw_different_experts(bench: Bench, parallel: str) -> None:
    """Each calls every expert, so that neither waits for the other."""
    changes = {"gpus": 2, "parallel": parallel, "steps": 6, "eval_every": 0, "checkpoint_every": 0}
    run = bench.run({**changes, "model": source("thor", experts=3)})
    assert isinstance(run.last, Result), run.last
