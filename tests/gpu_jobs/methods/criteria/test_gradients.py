"""Criteria of gradients and of flow, against what their equations say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gpu_jobs import prunable
from gpu_jobs.engine.pruning import layers, masks, scoring
from gpu_jobs.engine.pruning.flow import BLOCKS
from gpu_jobs.engine.pruning.gradients import mean_gradients
from tests.gpu_jobs.engine.test_pruning import CPU, tiny
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


def test_grasp_is_what_the_squared_gradient_loses_with_a_weight_to_first_order() -> None:
    model, found, scores = scored("grasp", batches=3, temperature=1.0)
    name, share = "model.layers.0.mlp.up_proj", 1e-2
    weight = found[name].module.weight
    row = int(scores[name].abs().sum(1).argmax())  # a row of weights, shrunk a little: alone each is lost in rounding

    def squared() -> float:
        return sum(float(g.double().square().sum()) for g in mean_gradients(found, labelled(), loss_of(model)).values())

    weight.data[row] *= 1 - share
    below = squared()
    weight.data[row] *= (1 + share) / (1 - share)
    above = squared()
    weight.data[row] /= 1 + share
    assert (above - below) / (2 * share) == pytest.approx(2 * float(scores[name][row].sum()), rel=2e-2)


def test_the_rest_of_a_model_that_is_trained_gets_no_gradient_from_scoring() -> None:
    """Pruning while training: it would be added to that of the step."""
    model = tiny("llama").requires_grad_(True)
    found = layers.find(model, "all", 0)
    own = found["model.layers.0.mlp.up_proj"].module.weight
    own.grad = torch.ones_like(own)
    for name in ("gradient_taylor", "snip", "grasp"):
        module(name).scores(knobs(name), model, labelled(), loss_of(model), found)
    assert [value for value in model.parameters() if value.grad is not None] == [own]
    assert bool((own.grad == 1).all()) and all(value.requires_grad for value in model.parameters())


@pytest.mark.parametrize("name", ["gradient_taylor", "obs_sparsegpt", "wanda"])
def test_a_model_that_is_trained_is_scored_without_its_dropout(name: str) -> None:
    model = tiny("gpt2")
    found = layers.find(model, "all", 0)
    spec: Any = SimpleNamespace(method=knobs(name))
    subject: Any = SimpleNamespace(bare=model, device=CPU, batches=labelled, loss_sum=loss_of(model))
    assert model.config.attn_pdrop > 0
    model.eval()
    one = scoring.scores(subject, spec, found)
    model.train()
    two = scoring.scores(subject, spec, found)
    assert all(torch.equal(one[layer], two[layer]) for layer in found)


@pytest.mark.parametrize("name", ["gradient_taylor", "snip", "grasp", "synflow"])
@pytest.mark.parametrize("what", ["mlp.up_proj", "_proj"])
def test_scores_of_layers_that_are_zero_are_numbers(name: str, what: str) -> None:
    model = tiny("llama")
    found = layers.find(model, "all", 0)
    for layer in found.values():
        if what in layer.name:
            layer.write(torch.zeros_like(layer.weight))
    scores = module(name).scores(knobs(name), model, labelled(), loss_of(model), found)
    assert all(value.isfinite().all() for value in scores.values())
    assert not any(scores[layer].any() for layer in found if what in layer)


@pytest.mark.parametrize("kind", sorted(set(BLOCKS) - {"vit"}))
def test_all_matrices_have_the_same_sum_of_flow(kind: str) -> None:
    """The conservation of the paper: 1 for each, as it is divided by the flow of all."""
    _, found, scores = scored("synflow", kind)
    for name in found:
        parts = scores[name].chunk(3) if BLOCKS[kind].fused and name.endswith(BLOCKS[kind].query) else [scores[name]]
        assert [float(part.sum()) for part in parts] == pytest.approx([1.0] * len(parts))


def test_the_flow_of_a_gated_feed_forward_is_that_of_its_equation() -> None:
    _, found, scores = scored("synflow")
    at = "model.layers.1.mlp"
    gate, up, down = (found[f"{at}.{name}_proj"].weight.abs().double() for name in ("gate", "up", "down"))
    into, out = gate.sum(1) * up.sum(1), down.sum(0)  # of each channel: what ones make of it, what it makes of a one
    assert torch.allclose(scores[f"{at}.down_proj"], down * into / (out @ into))
    assert torch.allclose(scores[f"{at}.gate_proj"], gate * (up.sum(1) * out)[:, None] / (out @ into))


def test_the_flow_of_attention_is_that_of_its_equation() -> None:
    """Four heads of 4 on two groups of keys and values: heads 0 and 1 use the first."""
    _, found, scores = scored("synflow")
    at = "model.layers.0.self_attn"
    query, key, value, out = (found[f"{at}.{name}_proj"].weight.abs().double() for name in "qkvo")
    ones = {"query": query.sum(1), "key": key.sum(1), "value": value.sum(1)}
    met = sum(float(ones["query"][4 * h : 4 * h + 4] @ ones["key"][4 * (h // 2) : 4 * (h // 2) + 4]) for h in range(4))
    seen = torch.cat([ones["value"][4 * (h // 2) : 4 * (h // 2) + 4] for h in range(4)])
    keys = torch.cat([ones["key"][4 * (h // 2) : 4 * (h // 2) + 4] for h in range(4)])
    assert torch.allclose(scores[f"{at}.q_proj"], query * keys[:, None] / met)
    assert torch.allclose(scores[f"{at}.o_proj"], out * seen / (out.sum(0) @ seen))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_no_matrix_is_emptied_however_much_goes_in_small_rounds(kind: str) -> None:
    """What the rounds are for: the axiom of maximal critical compression, at 90 % over all layers."""
    model = tiny(kind)
    found = layers.find(model, "all", 0)
    for number in range(1, 51):
        scores = module("synflow").scores(knobs("synflow"), model, [], loss_of(model), found)
        there = {name: value.masked_fill(found[name].weight == 0, -torch.inf) for name, value in scores.items()}
        for name, mask in masks.everywhere(there, 1 - 0.1 ** (number / 50)).items():
            found[name].write(found[name].weight * mask)
    left = {name: int(layer.weight.count_nonzero()) for name, layer in found.items()}
    total = sum(layer.weight.numel() for layer in found.values())
    assert sum(left.values()) == total - prunable.removed(0.9, total)
    assert min(left.values()) >= 8  # of 128 to 1,024


def test_synflow_needs_no_data() -> None:
    model = tiny("llama")
    found = layers.find(model, "all", 0)
    one = module("synflow").scores(knobs("synflow"), model, [], loss_of(model), found)
    _, _, two = scored("synflow")
    assert all(torch.equal(one[name], two[name]) for name in one)
