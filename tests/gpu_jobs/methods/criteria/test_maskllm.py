"""MaskLLM: its patterns, its prior, how masks are drawn, what the reward adds, and that it learns the right mask."""

from __future__ import annotations

from math import comb

import pytest
import torch

from gpu_jobs.engine.adapters import host
from gpu_jobs.engine.pruning import layers, masks
from gpu_jobs.prunable import NM
from tests.gpu_jobs.engine.test_pruning import tiny
from tests.gpu_jobs.methods.criteria.learning import LEARNING, learned, put
from tests.gpu_jobs.methods.criteria.scene import knobs, module, with_inputs
from tests.gpu_jobs.training import Bench, Outcome

MASKLLM = module("maskllm")
STILL = LEARNING | {"optimizer": {"name": "sgd", "lr": 1e-30}}  # moves nothing


@pytest.mark.parametrize("n", [NM(2, 4), NM(1, 4), NM(4, 8)])
def test_the_patterns_are_all_there_are(n: NM) -> None:
    found = MASKLLM.patterns(n)
    assert found.shape == (comb(n.m, n.n), n.m)
    assert (found.sum(1) == n.n).all()
    assert len({tuple(row) for row in found.tolist()}) == len(found)


def best(scores: torch.Tensor, n: NM) -> torch.Tensor:
    """The n highest of each m, by sorting."""
    order = scores.reshape(-1, n.m).argsort(1, descending=True)[:, : n.n]
    return torch.zeros(scores.numel() // n.m, n.m).scatter_(1, order, 1.0).view(scores.shape).bool()


@pytest.mark.parametrize("prior", ["magnitude", "wanda"])
def test_at_no_rate_the_prior_mask_comes_back_with_its_weights(bench: Bench, base: Outcome, prior: str) -> None:
    """A strength of 3 leaves it to the noise in places; 30 does not."""
    method = {"name": "maskllm", "prior": prior, "strength": 30}
    run = learned(bench, base, method, {"learning": STILL})
    reference = learned(bench, base, {"name": "magnitude", "pattern": "2:4"}, {"learning": None})
    kept, plain = (masks.load(each.work_dir / "masks.safetensors") for each in (run, reference))
    before, stored = base.weights(), run.weights()
    for name, mask in kept.items():
        assert torch.equal(stored[f"{name}.weight"], before[f"{name}.weight"] * mask)
    alike = [torch.equal(mask, plain[name]) for name, mask in kept.items()]
    assert all(alike) if prior == "magnitude" else not all(alike)


def test_the_prior_of_wanda_is_wanda() -> None:
    found = with_inputs("norms")
    bare = tiny("llama")
    own = layers.find(bare, "all", 0)
    for name, layer in own.items():
        layer.inputs = found[name].inputs
    asked = knobs("maskllm", prior="wanda", strength=100)
    MASKLLM.setup(asked, bare, own)
    for name, layer in host.adapted(bare).items():
        wanted = best(found[name].weight.abs() * found[name].norms, NM(2, 4))
        assert torch.equal(layer.named_values["mask"], wanted), name


def test_the_prior_shifts_the_logits_by_what_a_pattern_has_of_it() -> None:
    values = {"logits": torch.nn.Parameter(torch.randn(5, 6)), "mask": torch.zeros(5, 4, dtype=torch.bool)}
    before, prior = values["logits"].detach().clone(), MASKLLM.patterns(NM(2, 4))[[0, 1, 2, 3, 5]].bool()
    MASKLLM.prefer(knobs("maskllm", strength=3), values, prior)
    for group in range(5):
        for number, pattern in enumerate(MASKLLM.patterns(NM(2, 4))):
            overlap = int((pattern.bool() & prior[group]).sum())  # 0, 1 or 2, 1 in the mean
            wanted = before[group, number] + 3 * before.std() * (overlap - 1)
            torch.testing.assert_close(values["logits"][group, number].detach(), wanted)


def test_patterns_are_drawn_as_often_as_the_softmax_says() -> None:
    draws, logits = 20_000, torch.tensor([0.4, -0.2, 0.1, 0.0, 0.3, -0.5])
    values = {"logits": logits.repeat(draws, 1), "scale": torch.tensor(3.0), "temperature": torch.tensor(0.7)}
    torch.manual_seed(0)
    found = MASKLLM.choices(values)
    shares = torch.bincount(found.argmax(1), minlength=6) / draws
    wanted = (logits * 3.0).softmax(0)
    assert ((shares - wanted).abs() < 4 * (wanted * (1 - wanted) / draws).sqrt()).all()
    torch.testing.assert_close(found.sum(1), torch.ones(draws))


def test_the_reward_adds_the_gradient_of_the_kept_weights_square() -> None:
    model, adapted = put("maskllm")
    model.train()
    layer, rate, x = adapted["model.layers.0.mlp.up_proj"], 0.25, torch.randn(7, 16)
    layer.named_values["reward"].fill_(rate)
    torch.manual_seed(5)
    loss = layer(x).square().sum()
    loss.backward()
    found, layer.named_values["logits"].grad = layer.named_values["logits"].grad, None
    torch.manual_seed(5)
    soft = MASKLLM.choices(layer.named_values) @ MASKLLM.patterns(NM(2, 4))
    weight = layer.base.weight * soft.view(24, 16)
    torch.testing.assert_close((x @ weight.T).square().sum(), loss)
    ((x @ weight.T).square().sum() - rate * weight.square().sum()).backward()
    torch.testing.assert_close(found, layer.named_values["logits"].grad, rtol=1e-4, atol=1e-5)
    assert layer.base.weight.grad is None


def test_temperature_and_scale_go_in_a_straight_line(bench: Bench, base: Outcome) -> None:
    run = learned(bench, base, {"name": "maskllm", "temperature_end": 1.0})
    assert run.series("prune/temperature") == pytest.approx({n + 1: 4 - 3 * n / 6 for n in range(6)})
    assert run.series("prune/scale") == pytest.approx({n + 1: 100 + 400 * n / 6 for n in range(6)})
    certain = run.series("prune/certainty")
    assert 1 / 6 < certain[1] < certain[6] <= 1


def test_it_finds_the_mask_that_made_the_answers() -> None:
    """From a prior of magnitude, which is wrong on purpose: the right weights are the small ones."""
    model, adapted = put("maskllm", strength=1, regularisation=0)
    layer = adapted["model.layers.0.self_attn.q_proj"]
    model.train()
    weight = layer.base.weight
    right = ~best(weight.abs(), NM(2, 4))
    optimizer, generator = torch.optim.Adam([layer.named_values["logits"]], lr=0.01), torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    assert not (MASKLLM.hard(layer.knobs, layer.named_values) == right).all()
    for step in range(300):
        layer.named_values["temperature"].fill_(4 - 3.9 * step / 300)
        x = torch.randn(32, 16, generator=generator)
        loss = (layer(x) - x @ (weight * right).T).square().mean() / weight.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(MASKLLM.hard(layer.knobs, layer.named_values), right)
