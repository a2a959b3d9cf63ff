"""Criteria of gradients and of flow, against what their equations say."""

from __future__ import annotations

import pytest
import torch

from gpu_jobs.engine.pruning import layers
from gpu_jobs.engine.pruning.flow import BLOCKS
from gpu_jobs.engine.pruning.gradients import mean_gradients
from tests.gpu_jobs.engine.test_pruning import tiny
from tests.gpu_jobs.methods.criteria.scene import knobs, labelled, loss_of, module, scored


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_taylor_is_weight_times_the_gradient_of_the_mean_loss(kind: str) -> None:
    model, found, scores = scored("gradient_taylor", kind)
    model.requires_grad_(True)
    whole = {name: torch.cat([batch[name] for batch in labelled()]) for name in ("input_ids", "labels")}
    (loss_of(model)(whole) / (whole["labels"].numel() - len(whole["labels"]))).backward()
    for name, layer in found.items():
        gradient = layer.module.weight.grad.T if layer.is_transposed else layer.module.weight.grad
        assert torch.allclose(scores[name], (layer.weight * gradient).abs(), rtol=1e-4, atol=1e-8)


def test_the_model_is_left_without_gradients() -> None:
    model, _, _ = scored("gradient_taylor")
    assert all(value.grad is None and not value.requires_grad for value in model.parameters())


def test_snip_is_the_share_of_what_is_felt_and_orders_like_taylor() -> None:
    _, _, snip = scored("snip", batches=3)
    _, _, taylor = scored("gradient_taylor")
    assert sum(float(value.sum()) for value in snip.values()) == pytest.approx(1, rel=1e-5)
    total = sum(float(value.sum()) for value in taylor.values())
    assert all(torch.allclose(snip[name] * total, taylor[name], rtol=1e-4, atol=1e-9) for name in snip)


def test_grasp_is_the_weight_times_the_gradient_of_half_the_squared_gradient() -> None:
    model, found, scores = scored("grasp", batches=3, temperature=1.0)
    name = "model.layers.1.mlp.down_proj"
    weight, size = found[name].module.weight, 1e-2
    generator = torch.Generator().manual_seed(3)
    direction = torch.randn(weight.shape, generator=generator)

    def flow() -> float:

        return (
            sum(float(g.double().square().sum()) for g in mean_gradients(found, labelled(), loss_of(model)).values())
            / 2
        )

    weight.data += size * direction
    above = flow()
    weight.data -= 2 * size * direction
    slope = (above - flow()) / (2 * size)
    weight.data += size * direction
    product = scores[name] / found[name].weight  # H g
    assert float((product * direction).sum()) == pytest.approx(slope, rel=2e-2)


@pytest.mark.parametrize("kind", sorted(set(BLOCKS) - {"vit"}))
def test_the_flow_of_a_branch_is_kept_by_each_of_its_matrices(kind: str) -> None:
    _, found, scores = scored("synflow", kind)
    names = BLOCKS[kind]
    at = next(iter(found)).rsplit(names.query, 1)[0]
    sums = {part: float(scores[f"{at}{part}"].sum()) for part in (*names.into, names.back, names.out)}
    into = [sums[part] for part in names.into]
    assert into == pytest.approx([sums[names.back]] * len(into))
    if names.fused:
        query, key, value = scores[f"{at}{names.query}"].chunk(3)
        assert float(query.sum()) == pytest.approx(float(key.sum()))
        assert float(value.sum()) == pytest.approx(sums[names.out])
        return
    assert float(scores[f"{at}{names.query}"].sum()) == pytest.approx(float(scores[f"{at}{names.key}"].sum()))
    assert float(scores[f"{at}{names.value}"].sum()) == pytest.approx(sums[names.out])


def test_synflow_needs_no_data() -> None:
    model = tiny("llama")
    found = layers.find(model, "all", 0)
    one = module("synflow").scores(knobs("synflow"), model, [], loss_of(model), found)
    _, _, two = scored("synflow")
    assert all(torch.equal(one[name], two[name]) for name in one)
