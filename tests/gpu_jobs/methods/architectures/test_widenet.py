"""WideNet: one block shared over the depth, its experts, and their places."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from gpu_jobs import shapes, spec
from gpu_jobs.engine.architectures.widenet import Mixture, WidenetConfig, within_capacity
from tests.gpu_jobs.methods.architectures.small import IDS, build, config, disturb, logits, readings, source
from tests.gpu_jobs.training import TINY


def mixture(**fields: Any) -> Mixture:
    torch.manual_seed(0)
    return Mixture(WidenetConfig(hidden_size=16, intermediate_size=24, num_attention_heads=2, **fields))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_depth_adds_norms_only(depth: int) -> None:
    """One block, 2 norms of 2 d at each depth, the last norm, the embedding."""
    found = shapes.parameters(config("widenet", layers=depth), "causal_lm")
    assert found is not None
    attention, router, expert = 4 * (32 * 32 + 32), 4 * 32, 2 * 32 * 128 + 128 + 32
    assert shapes.count(found) == attention + router + 4 * expert + depth * 2 * 2 * 32 + 2 * 32 + 258 * 32


def test_the_gradient_of_the_block_is_the_sum_over_its_uses() -> None:
    """A copy of the block at each depth has the gradients of the uses one by one."""
    model = build("widenet", noise=False, capacity=100).double()
    disturb(model)
    stack = model.model.stack
    copies = [copy.deepcopy(stack.block) for _ in range(2)]
    model(input_ids=IDS).logits.square().mean().backward()
    shared = {name: value.grad.clone() for name, value in stack.block.named_parameters()}

    calls = iter(copies)
    stack.block.forward = lambda *args: next(calls).forward(*args)
    model(input_ids=IDS).logits.square().mean().backward()
    for name, gradient in shared.items():
        uses = [dict(block.named_parameters())[name].grad for block in copies]
        assert torch.allclose(uses[0] + uses[1], gradient, atol=1e-10), name
        if "experts" not in name and "k_proj.bias" not in name:  # a key's bias moves all scores alike
            assert uses[0].abs().sum() > 0 and uses[1].abs().sum() > 0


def test_a_mixture_adds_the_chosen_experts_by_their_probability() -> None:
    mix = mixture(experts=5, top_k=2).eval()
    x = torch.randn(2, 7, 16)
    scores = mix.router(x).softmax(-1)
    for row, position in ((0, 0), (1, 6)):
        token, chances = x[row, position], scores[row, position]
        best = chances.argsort(descending=True)[:2]
        expected = sum(chances[number] * mix.experts[int(number)](token) for number in best)
        assert torch.allclose(mix(x).hidden[row, position], expected, atol=1e-6)


def test_one_expert_is_a_dense_layer() -> None:
    mix = mixture(experts=1, top_k=1, noise=False, capacity=1.0)
    x = torch.randn(2, 7, 16)
    assert torch.allclose(mix(x).hidden, mix.experts[0](x), atol=1e-6)


def test_places_go_by_position_and_no_expert_has_more_than_its_own() -> None:
    chosen = torch.tensor([[[0, 1], [0, 1], [0, 2]], [[0, 3], [1, 0], [2, 3]]])  # (batch, tokens, k)
    kept = within_capacity(chosen, 4, 2)
    # expert 0: both samples' first tokens; expert 1: sample 0's first and second token, not sample 1's second
    assert kept.tolist() == [[[True, True], [False, True], [False, True]], [[True, True], [False, False], [True, True]]]


def test_what_is_dropped_is_counted_and_leaves_the_residual_alone() -> None:
    mix = mixture(experts=4, top_k=1, capacity=1.0, noise=False)
    with torch.no_grad():
        mix.router.weight.zero_()
        mix.router.weight[2, 0] = 9.0
    x = torch.randn(2, 8, 16)
    x[..., 0] = x[..., 0].abs() + 1  # all tokens to expert 2, which has 16 / 4 places
    out = mix(x)
    *load, dropped, assigned = out.counts.tolist()
    assert (load, dropped, assigned) == ([0, 0, 4, 0], 12, 16)
    worked = out.hidden.abs().sum(-1) > 0
    assert worked[:, :2].all() and not worked[:, 2:].any()
    assert (mix.eval()(x).hidden.abs().sum(-1) > 0).all()  # evaluation drops nothing


def test_readings_add_up() -> None:
    model = build("widenet", capacity=0.5)
    model(input_ids=IDS)
    model(input_ids=IDS)
    told = readings(model)
    assert told["router/assigned"] == 2 * 2 * IDS.numel() * 2  # forwards, depth, tokens, experts of a token
    share = sum(value for name, value in told.items() if "load" in name)
    assert share + told["router/dropped"] / told["router/assigned"] == pytest.approx(1)
    assert told["router/dropped"] >= told["router/assigned"] / 2


def test_the_balance_loss_is_k_when_even_and_grows_with_a_favourite() -> None:
    mix = mixture(experts=4, top_k=2, balance=1.0, noise=False)
    x = torch.randn(4, 8, 16)
    with torch.no_grad():
        mix.router.weight.zero_()
        assert float(mix(x).auxiliary_loss) == pytest.approx(2.0)  # P is 1/4 for each; m adds up to K
        mix.router.weight[0, 0], mix.router.weight[1, 0] = 9.0, 8.0
        x[..., 0] = 3.0
        assert float(mix(x).auxiliary_loss) == pytest.approx(4.0, rel=0.01)  # all to experts 0 and 1: E (P_0 + P_1)


def test_noise_is_of_the_training_alone() -> None:
    mix, x = mixture(experts=4, top_k=1, noise=True), torch.randn(2, 7, 16)
    assert not mix(x).hidden.equal(mix(x).hidden)
    mix.eval()
    assert mix(x).hidden.equal(mix(x).hidden)


def test_a_sample_s_result_does_not_hang_on_its_neighbours() -> None:
    model = build("widenet")
    disturb(model)
    assert torch.allclose(logits(model, input_ids=IDS)[:1], logits(model, input_ids=IDS[:1]), atol=1e-5)


def test_images_are_seen_in_both_directions() -> None:
    model = build("widenet", "image_classification")
    disturb(model)
    pixels = torch.randn(1, 1, 8, 8)
    changed = pixels.clone()
    changed[..., -2:, -2:] += 3  # the last patch; the class token stands before it
    assert not torch.allclose(logits(model, pixel_values=pixels), logits(model, pixel_values=changed), atol=1e-3)


def test_more_choices_than_experts_are_refused() -> None:
    with pytest.raises(ValueError, match="top_k must not exceed experts: 5 > 4"):
        spec.parse({**TINY, "model": source("widenet", top_k=5)})
