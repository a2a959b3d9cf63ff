"""SHERL: early blocks that keep nothing, a closed gate, and weights that sum to one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from gpu_jobs.engine import adapters
from gpu_jobs.errors import MethodError
from gpu_jobs.methods.strategies import sherl
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.methods.strategies.test_unipt import ARCHITECTURES, NARROW, WIDTH, inputs
from tests.gpu_jobs.methods.test_lora import build
from tests.gpu_jobs.training import Bench, same

KNOBS = sherl.Knobs(name="sherl", factor=WIDTH // NARROW, late=1)
BLOCKS = {"llama": "model.layers", "gpt2": "transformer.h", "bert": "bert.encoder.layer", "vit": "vit.layers"}


def beside(architecture: str) -> Any:
    torch.manual_seed(0)
    return adapters.put(KNOBS, build(architecture), task="causal_lm", seed=0).eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_early_blocks_keep_nothing_late_ones_do_and_only_the_network_is_trained(architecture: str) -> None:
    model, kept, marks = beside(architecture).train(), [], []
    for block in model.get_submodule(BLOCKS[architecture]):
        block.register_forward_hook(lambda *_: marks.append(len(kept)))
    with torch.autograd.graph.saved_tensors_hooks(lambda value: kept.append(value) or value, lambda value: value):
        logits = model(**inputs(architecture)).logits
    assert marks[0] == 0 < marks[1]
    logits.square().sum().backward()
    have = {name for name, value in model.named_parameters() if value.grad is not None}
    assert have == {name for name, value in model.named_parameters() if value.requires_grad}
    assert all(name.split(".")[0] in ("side", "score", "classifier") for name in have)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_has_as_many_values_as_the_formula_says(architecture: str) -> None:
    """Two hidden states before the last of two blocks: two D_l, the way up, w, and the gate."""
    model = beside(architecture)
    d, m = WIDTH, NARROW
    assert sum(value.numel() for value in model.side.parameters()) == 2 * (d * m + m) + (m * d + d) + (m + 1) + 1
    anatomy = adapters.anatomy_of(build(architecture), "causal_lm")
    trained = {name: tuple(value.shape) for name, value in model.named_parameters() if value.requires_grad}
    assert sherl.sizes(KNOBS, anatomy) == trained


def test_the_gate_is_closed_at_first_and_then_lets_the_last_state_through() -> None:
    parts = sherl.build(KNOBS, WIDTH, 3)
    hidden = [torch.randn(1, 4, WIDTH) for _ in range(3)]
    closed = sherl.answer(KNOBS, parts, hidden, None)
    parts["gate"].weight.data.fill_(0.05)  # type: ignore[index]
    opened = sherl.answer(KNOBS, parts, hidden, None)
    torch.testing.assert_close(opened - closed, torch.tanh(torch.tensor(0.5)) * hidden[-1])


def test_shares_are_those_of_the_equations_and_sum_to_one() -> None:
    """Written down a second time for one token, layer by layer."""
    torch.manual_seed(1)
    parts: Any = sherl.build(KNOBS, WIDTH, 5)
    torch.nn.init.constant_(parts["trust"].bias, 5.0)  # all scores above zero
    others, last = torch.randn(4, 1, 1, NARROW), torch.randn(1, 1, NARROW)
    scores = []
    for layer in others:
        redundancy = sum(F.cosine_similarity(layer, other, dim=-1).relu() for other in others)
        scores.append(parts["trust"](layer * last)[..., 0].relu() / redundancy)
    expected = torch.stack(scores) / torch.stack(scores).sum(0)
    found = sherl.shares(parts, others, last)
    torch.testing.assert_close(found[..., 0], expected)
    torch.testing.assert_close(found.sum(0), torch.ones_like(found[0]))


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_no_token_sees_those_behind_it(architecture: str) -> None:
    model, ids = beside(architecture), inputs(architecture)["input_ids"]
    changed = ids.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % 9
    with torch.no_grad():
        one, other = model(input_ids=ids).logits, model(input_ids=changed).logits
    torch.testing.assert_close(one[:, :4], other[:, :4])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_taken_off_the_model_is_what_it_was(architecture: str) -> None:
    plain = build(architecture)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    with torch.no_grad():
        expected = plain.eval()(**inputs(architecture)).logits
        bare = adapters.unload(adapters.put(KNOBS, plain, task="causal_lm", seed=0))
        assert bare(**inputs(architecture)).logits.equal(expected)
    assert same(bare.state_dict(), before)


def test_state_takes_the_planned_bytes_and_flops_grow_with_the_late_blocks(bench: Bench) -> None:
    job = jobs.job(bench, "sherl")
    jobs.step(job)
    assert jobs.state_bytes(job) == jobs.planned(job)
    assert jobs.flops("sherl") < jobs.flops({"name": "sherl", "late": 3}) < jobs.flops("full")


def test_what_does_not_fit_is_refused(bench: Bench) -> None:
    with pytest.raises(MethodError, match="late"):
        jobs.job(bench, {"name": "sherl", "late": 4})
    with pytest.raises(MethodError, match="gradient_checkpointing"):
        jobs.job(bench, "sherl", gradient_checkpointing=True)
