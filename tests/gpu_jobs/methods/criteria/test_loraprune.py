"""LoRAPrune: the gradient it stands for, whose gradients there are, its scores, and whole units taken out."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_jobs.engine.adapters import host
from gpu_jobs.engine.pruning import structured
from tests.gpu_jobs.methods.criteria.learning import job, learned, logits, put, shrunk
from tests.gpu_jobs.methods.criteria.scene import module
from tests.gpu_jobs.methods.strategies.jobs import step
from tests.gpu_jobs.training import Bench, Outcome

LORAPRUNE = module("loraprune")
METHOD = {"name": "loraprune", "rank": 2, "every": 1}
SETTINGS = {"rank": 2, "every": 1}


def randomise(adapted: dict[str, host.AdaptedLayer]) -> None:
    torch.manual_seed(3)
    for layer in adapted.values():
        torch.nn.init.normal_(layer.named_values["B"], std=0.1)  # type: ignore[arg-type]


def test_g_is_how_far_the_product_moves_and_to_first_order_the_gradient_seen_through_lora() -> None:
    _, adapted = put("loraprune", alpha=2, rank=2)  # s = 1
    randomise(adapted)
    layer = adapted["model.layers.0.mlp.up_proj"]
    a, b = layer.named_values["A"], layer.named_values["B"]
    x, weighting = torch.randn(7, 16), torch.randn(7, 24)
    (layer(x) * weighting).sum().backward()
    assert a.grad is not None and b.grad is not None
    with torch.no_grad():
        g = LORAPRUNE.gradient(a, b, a.grad, b.grad)
        torch.testing.assert_close(g, b @ a - (b - b.grad) @ (a - a.grad), rtol=1e-4, atol=1e-4)
        upstream = weighting.T @ x  # dL/dW
        first = upstream @ a.T @ a + b @ b.T @ upstream
        torch.testing.assert_close(g + b.grad @ a.grad, first, rtol=1e-4, atol=1e-4)
    assert layer.base.weight.grad is None


def test_no_gradient_of_a_base_weight_is_ever_there(bench: Bench) -> None:
    ready = job(bench, "loraprune", SETTINGS, steps=4)
    seen: list[set[str]] = []
    listen = ready.hooks.listen  # type: ignore[attr-defined]

    def watched(group: Any) -> None:
        seen.append({name for name, value in ready.bare.named_parameters() if value.grad is not None})
        listen(group)

    ready.hooks.listen = watched  # type: ignore[attr-defined]
    step(ready)
    assert len(seen) == 8  # heads and channels of four blocks
    assert {name.rpartition(".")[2] for name in set.union(*seen)} == {"A", "B"}
    assert not any(value.requires_grad for name, value in ready.bare.named_parameters() if ".values." not in name)


@pytest.mark.parametrize("norm", ["abs", "square"])
def test_scores_are_a_running_mean_of_each_modules_share(norm: str, bench: Bench) -> None:
    """Against loops over the weights of each unit."""
    ready = job(bench, "loraprune", SETTINGS | {"norm": norm}, steps=4)
    hooks: Any = ready.hooks
    randomise(hooks.layers)
    group = next(each for each in hooks.groups if each.kind == "heads")
    expected = torch.zeros(group.count)
    for seed in (1, 2):
        torch.manual_seed(seed)
        total = torch.zeros(group.count)
        for name in (*group.rows, *group.columns):
            layer = hooks.layers[name]
            a, b, scale = layer.named_values["A"], layer.named_values["B"], 16 / 2
            a.grad, b.grad = torch.randn_like(a), torch.randn_like(b)
            g = (b.grad @ a + b @ a.grad - b.grad @ a.grad) * (layer.base.weight + scale * b @ a)
            weights = (g.abs() if norm == "abs" else g**2).detach()
            units = weights.chunk(group.count, dim=1 if name in group.columns else 0)
            own = torch.stack([unit.sum() for unit in units])
            total += own / own.norm()
        with torch.no_grad():
            hooks.listen(group)
        expected = 0.9 * expected + 0.1 * total
        torch.testing.assert_close(hooks.scores[group.name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "unit"), [("llama", "heads"), ("llama", "ffn"), ("llama", "heads+ffn"), ("gpt2", "ffn"), ("bert", "ffn")]
)
def test_without_its_units_the_model_computes_what_it_did_masked(kind: str, unit: str) -> None:
    model, adapted = put("loraprune", kind, unit=unit, rank=2)
    randomise(adapted)
    groups, generator = structured.groups(model, unit), torch.Generator().manual_seed(0)
    kept = {group.name: torch.rand(group.count, generator=generator).argsort() < group.count // 2 for group in groups}
    for group in groups:
        for name in group.rows:
            mask = adapted[name].named_values["kept"]
            mask.copy_(kept[group.name].repeat_interleave(len(mask) // group.count))
    masked = logits(model)
    host.unload(model, merge=True)
    torch.testing.assert_close(logits(model), masked, rtol=1e-4, atol=1e-5)
    small = shrunk(model, structured.units_of(groups, kept))
    torch.testing.assert_close(logits(small), masked, rtol=1e-4, atol=1e-5)


def test_as_many_units_of_every_block_go_and_none_comes_back(bench: Bench) -> None:
    ready = job(bench, "loraprune", SETTINGS | {"sparsity": 0.5}, steps=8)
    hooks: Any = ready.hooks
    before = {name: kept.clone() for name, kept in hooks.kept.items()}
    for number in range(8):
        step(ready, number)
        share = hooks.readings()["prune/sparsity"]
        for group in hooks.groups:
            kept = hooks.kept[group.name]
            assert int((~kept).sum()) == int(share * group.count + 0.5)
            assert not (kept & ~before[group.name]).any()
            before[group.name] = kept.clone()
            for name in group.rows:
                rows = hooks.layers[name].named_values["kept"].view(group.count, -1)
                assert (rows == kept[:, None]).all()  # whole heads
    hooks.finish()  # the last step was a little before the end of the ramp
    assert all(int(kept.sum()) == len(kept) // 2 for kept in hooks.kept.values())


def test_the_file_is_smaller_and_of_one_width(bench: Bench, base: Outcome) -> None:
    run = learned(bench, base, METHOD)
    shapes = {name: tuple(value.shape) for name, value in run.weights().items()}
    for block in range(2):
        assert shapes[f"model.layers.{block}.self_attn.q_proj.weight"] == (8, 16)
        assert shapes[f"model.layers.{block}.self_attn.o_proj.weight"] == (16, 8)
        assert shapes[f"model.layers.{block}.mlp.up_proj.weight"] == (24, 16)
        assert shapes[f"model.layers.{block}.mlp.down_proj.weight"] == (16, 24)
    assert run.last.values["sparsity"]["measured"] == 0.5
    assert run.last.values["masks"] is None
