"""IncreLoRA: ranks grow to the target, and a run can stop in between."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gpu_jobs.engine import adapters, optim
from gpu_jobs.engine.job import Job
from gpu_jobs.engine.loop import update
from gpu_jobs.methods.adapters import increlora
from tests.gpu_jobs.methods.adapters.layers import exported, finetune, merged_distance, on, shaken
from tests.gpu_jobs.methods.test_contract import job, logits, steady
from tests.gpu_jobs.training import Bench, Outcome, after, same

GROWING = {"name": "increlora", "target_rank": 4, "warmup": 2, "interval": 2, "top": 3}
LAYERS = 2 * 4  # attention's in 2 blocks
STEPS = 24


def spec(**knobs: Any) -> dict[str, Any]:
    return {"method": {**GROWING, **knobs}, "steps": STEPS, "eval_every": 0, "checkpoint_every": 0,
            "optimizer": {"name": "adamw", "lr": 1e-2}}  # fmt: skip


def begun(bench: Bench, base: Outcome, **knobs: Any) -> Job:
    return job(bench, base, spec(**knobs))


def advance(ready: Job, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        optim.set_rate(ready.spec, ready.optimizer, step)
        update(ready, step)


def test_the_layer_is_the_equation() -> None:
    """W x + B diag(E) A x alpha / (rank + 1e-5), the ranks in reserve among them"""
    linear, x = nn.Linear(12, 9), torch.randn(3, 12)
    layer = shaken(on(linear, "increlora", start_rank=2, target_rank=6, alpha=8))
    v = layer.values
    delta = v.B0 @ torch.diag(v.E0) @ v.A0 + v.B1 @ torch.diag(v.E1) @ v.A1
    torch.testing.assert_close(layer(x), linear(x) + 8 / (2 + 1e-5) * x @ delta.T, atol=1e-5, rtol=1e-5)
    assert merged_distance(layer, x) < 1e-5


def test_the_score_is_the_change_of_loss_by_delta() -> None:
    """I = sum |Delta * dL/dDelta| / sqrt(in out), with dL/dDelta = c^T x of L = sum(y * c)"""
    layer = shaken(on(nn.Linear(12, 9), "increlora"))
    x, c = torch.randn(3, 12), torch.randn(3, 9)
    (layer(x) * c).sum().backward()
    a, b = layer.lora()
    expected = ((b @ a) * (c.T @ x)).abs().sum() / (9 * 12) ** 0.5
    torch.testing.assert_close(layer.values.score, expected)


@pytest.mark.parametrize("reserve", [True, False])
@pytest.mark.parametrize(("top", "grow"), [(2, 2), (3, 4)])
def test_ranks_never_fall_and_end_at_the_target(
    bench: Bench, base: Outcome, reserve: bool, top: int, grow: int
) -> None:
    """Also where the ranks of a growth (12, or 4) do not divide what is missing (32): the last one is cut."""
    ready = begun(bench, base, reserve=reserve, top=top, grow=grow, target_rank=5)
    totals, before = [], ready.hooks.ranks
    for step in range(STEPS):
        advance(ready, 1, step)
        ranks = ready.hooks.ranks
        assert all(now >= then for now, then in zip(ranks, before, strict=True))
        totals.append(sum(ranks))
        before = ranks
    growths = [min(5 * LAYERS, LAYERS + top * grow * n) for n in range(20)]
    assert totals[:8] == [growths[max(0, (step + 1) // 2 - 1)] for step in range(8)]
    assert totals[-1] == 5 * LAYERS
    expected = logits(ready.bare)
    ready.hooks.finish()
    torch.testing.assert_close(logits(ready.bare), expected, atol=1e-6, rtol=1e-6)
    for layer, rank in zip(ready.hooks.layers.values(), ready.hooks.ranks, strict=True):
        a, b = layer.lora()
        assert len(a) == b.shape[1] == rank == float(layer.values.rank)
    assert ready.hooks.trainable_values() == 5 * LAYERS * (16 + 16 + 1)


def test_the_layers_of_the_highest_scores_grow(bench: Bench, base: Outcome) -> None:
    ready = begun(bench, base, top=2)
    advance(ready, 3)
    ready.hooks.mean.copy_(torch.tensor([0, 5, 1, 0, 0, 0, 9, 0.0]))
    ready.hooks.spread.fill_(1.0)
    scores = ready.hooks.mean.clone()
    ready.hooks.after_step(type("Step", (), {"number": 3})())
    assert [layer for layer, _ in ready.hooks.history] == scores.argsort(descending=True)[:2].tolist() == [6, 1]


def test_new_tensors_join_the_optimizer_and_move(bench: Bench, base: Outcome) -> None:
    ready = begun(bench, base)
    advance(ready, 4)
    optimized = {id(value) for group in ready.optimizer.param_groups for value in group["params"]}
    trained = ready.hooks.trained()
    assert {id(value) for value in trained.values()} <= optimized
    assert any(".A2" in name for name in trained)
    rates = {group["lr"] for group in ready.optimizer.param_groups}
    before = {name: value.detach().clone() for name, value in trained.items()}
    advance(ready, 1, 4)
    assert len(rates) <= 2  # the new groups get their rate with the next step
    assert len({group["lr"] for group in ready.optimizer.param_groups}) == 1
    assert not any(value.equal(before[name]) for name, value in trained.items())


def test_a_decaying_optimizer_decays_new_matrices_as_it_does_old_ones(bench: Bench, base: Outcome) -> None:
    ready = begun(bench, base)
    advance(ready, 4)
    decay = {id(value): group["weight_decay"] for group in ready.optimizer.param_groups for value in group["params"]}
    for name, value in ready.hooks.trained().items():
        assert decay[id(value)] == (0.0 if value.ndim < 2 else 0.01), name


def test_growing_by_an_empty_rank_changes_the_function_by_the_factor_alone(bench: Bench, base: Outcome) -> None:
    """Without reserve E of the new ranks is 0: Delta becomes Delta (rank + 1e-5) / (rank + more + 1e-5)."""
    ready = begun(bench, base, reserve=False)
    advance(ready, 3)
    layer = next(iter(ready.hooks.layers.values()))
    before = layer.merged()[0] - layer.seen.weight
    ready.hooks.apply(0, 2)
    after_ = layer.merged()[0] - layer.seen.weight
    torch.testing.assert_close(after_, before * (1 + 1e-5) / (3 + 1e-5), atol=1e-7, rtol=1e-3)


def test_rows_and_columns_are_drawn_to_orthonormal(bench: Bench, base: Outcome) -> None:
    def distance(orthogonal: float) -> float:
        ready = begun(bench, base, start_rank=2, orthogonal=orthogonal)
        advance(ready, STEPS)
        layer = next(iter(ready.hooks.layers.values()))
        return float(increlora.away(layer.values.A0) + increlora.away(layer.values.B0.T))

    assert distance(1.0) < 0.7 * distance(0.0)


def test_orthonormal_rows_cost_nothing() -> None:
    assert float(increlora.away(torch.linalg.qr(torch.randn(12, 4)).Q.T)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("reserve", [True, False])
@pytest.mark.parametrize("stop", [3, 4, 9])
def test_stopped_between_growths_it_ends_with_the_same_bits(
    bench: Bench, base: Outcome, reserve: bool, stop: int
) -> None:
    plain, asked = base.work_dir / "model", spec(reserve=reserve, target_rank=3, grow=2)
    whole = finetune(bench, plain, asked)
    first = finetune(bench, plain, asked, should_stop=after(stop))
    second = finetune(bench, plain, asked, resume_from=first.work_dir / f"checkpoints/step-{stop}")
    assert same(second.weights("model/adapter.safetensors"), whole.weights("model/adapter.safetensors"))
    for name in {name for event in whole.events if event.type == "metrics" for name in event.values if steady(name)}:
        assert first.series(name) | second.series(name) == whole.series(name), name
    assert whole.series("rank/total")[STEPS] == 3 * LAYERS


def test_every_layers_rank_is_told(bench: Bench, base: Outcome) -> None:
    run = finetune(bench, base.work_dir / "model", spec())
    told = [run.series(f"rank/model.layers.{block}.self_attn.{name}_proj") for block in (0, 1) for name in "qkvo"]
    assert all(len(series) == STEPS and series[1] == 1 for series in told)
    for step, total in run.series("rank/total").items():
        assert sum(series[step] for series in told) == total


def test_the_grown_adapter_is_stored_loaded_merged_and_exported(bench: Bench, base: Outcome) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    plain = base.work_dir / "model"
    run = finetune(bench, plain, spec())
    stored = run.weights("model/adapter.safetensors")
    assert sum(value.numel() for value in stored.values()) == 4 * LAYERS * 33 + LAYERS  # and a rank each
    loaded = adapters.load(run.work_dir / "model", AutoModelForCausalLM.from_pretrained(plain))
    expected = logits(loaded)
    assert not expected.equal(logits(AutoModelForCausalLM.from_pretrained(plain)))
    folder = exported(run, plain, "--peft")
    peft = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(plain), folder)
    torch.testing.assert_close(logits(peft), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits(adapters.merge(loaded)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("grow", [2, 4])
def test_on_two_processes_it_grows_as_on_one(bench: Bench, base: Outcome, grow: int) -> None:
    """Also where the last growth is cut; what came after DDP has seen the model is averaged by hand."""
    asked = {**spec(grow=grow, target_rank=3), "accumulation": 2, "steps": 12}
    alone = finetune(bench, base.work_dir / "model", asked)
    run = finetune(bench, base.work_dir / "model", {**asked, "gpus": 2, "accumulation": 1})
    assert run.last.type == "result"
    assert run.series("rank/total") == alone.series("rank/total")
    assert run.series("rank/total")[12] == 3 * LAYERS
    assert run.series("train/loss") == pytest.approx(alone.series("train/loss"), rel=1e-3)
