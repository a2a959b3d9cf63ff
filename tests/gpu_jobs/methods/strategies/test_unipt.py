"""UniPT: the network of its equations, beside a model that keeps nothing and gets no gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from gpu_jobs.engine import adapters
from gpu_jobs.engine.adapters.side import Mask
from gpu_jobs.methods.strategies import unipt
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.methods.test_lora import build
from tests.gpu_jobs.training import Bench, same

ARCHITECTURES = ["llama", "gpt2", "bert", "vit"]
WIDTH, DEPTH, NARROW = 16, 3, 4  # two blocks have three hidden states
KNOBS = unipt.Knobs(name="unipt", factor=WIDTH // NARROW)


def beside(architecture: str) -> Any:
    torch.manual_seed(0)
    return adapters.put(KNOBS, build(architecture), task="causal_lm", seed=0).eval()


def inputs(architecture: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    if architecture == "vit":
        return {"pixel_values": torch.randn(2, 3, 8, 8, generator=generator)}
    return {"input_ids": torch.randint(9, (2, 6), generator=generator)}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nothing_of_the_model_is_kept_and_no_gradient_reaches_it(architecture: str) -> None:
    model, kept, marks = beside(architecture).train(), [], []
    model.base_model.register_forward_pre_hook(lambda *_: marks.append(len(kept)))
    model.base_model.register_forward_hook(lambda *_: marks.append(len(kept)), prepend=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda value: kept.append(value) or value, lambda value: value):
        logits = model(**inputs(architecture)).logits
    assert marks == [0, 0]
    assert kept
    logits.square().sum().backward()
    have = {name for name, value in model.named_parameters() if value.grad is not None}
    assert have == {name for name, value in model.named_parameters() if value.requires_grad}
    assert all(name.split(".")[0] in ("side", "score", "classifier") for name in have)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_has_as_many_values_as_the_formula_says(architecture: str) -> None:
    """Three times D_l and its norm, the projection and its norm, the way up, and w."""
    model = beside(architecture)
    d, m = WIDTH, NARROW
    expected = DEPTH * (d * m + m + 2 * m) + (m * m + m + 2 * m) + (m * d + d) + (m + 1)
    assert sum(value.numel() for value in model.side.parameters()) == expected
    anatomy = adapters.anatomy_of(build(architecture), "causal_lm")
    trained = {name: tuple(value.shape) for name, value in model.named_parameters() if value.requires_grad}
    assert unipt.sizes(KNOBS, anatomy) == trained


def test_the_output_is_that_of_the_equations() -> None:
    """Written down a second time, for an encoder without padding, with loops instead of products."""
    model = beside("bert")
    parts, hidden = model.side.parts, [torch.randn(1, 5, WIDTH) for _ in range(DEPTH)]
    f = [F.layer_norm(parts["down"][i][0](h), (NARROW,)) for i, h in enumerate(hidden)]
    merged, scores = [], []
    for other in f[:-1]:
        rows = []
        for t in range(5):
            seen = torch.stack([f[-1][0, t] @ other[0, s] for s in range(5)]).relu()
            rows.append((seen / seen.sum())[:, None].mul(other[0]).sum(0) + other[0, t])
        merged.append(torch.stack(rows))
        scores.append(parts["gate"](f[-1][0].mean(0) * other[0].mean(0)))
    trust = torch.cat(scores).softmax(0)
    together = trust[0] * merged[0] + trust[1] * merged[1]
    expected = parts["up"]((f[-1][0] + F.layer_norm(parts["project"][0](together), (NARROW,))).relu())
    found = unipt.answer(KNOBS, parts, hidden, Mask(hidden[0], None, is_causal=False))
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("is_causal", [True, False])
def test_the_confidences_sum_to_one(is_causal: bool) -> None:
    features = [torch.randn(2, 5, NARROW) for _ in range(DEPTH)]
    trust = unipt.confidence(beside("bert").side.parts, features, Mask(features[0], None, is_causal=is_causal))
    assert trust.shape == (DEPTH - 1, 2, 5 if is_causal else 1)
    torch.testing.assert_close(trust.sum(0), torch.ones_like(trust[0]))


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_no_token_sees_those_behind_it(architecture: str) -> None:
    model, ids = beside(architecture), inputs(architecture)["input_ids"]
    changed = ids.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % 9
    with torch.no_grad():
        one, other = model(input_ids=ids).logits, model(input_ids=changed).logits
    torch.testing.assert_close(one[:, :4], other[:, :4])
    assert not one[:, 4:].allclose(other[:, 4:])


def test_padding_changes_nothing() -> None:
    model, ids = beside("bert"), inputs("bert")["input_ids"]
    padded = torch.cat([ids, torch.zeros_like(ids[:, :2])], dim=1)
    mask = (torch.arange(8) < 6).long().expand(2, -1)
    with torch.no_grad():
        one = model(input_ids=ids, attention_mask=mask[:, :6]).logits
        other = model(input_ids=padded, attention_mask=mask).logits
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_taken_off_the_model_is_what_it_was(architecture: str) -> None:
    plain = build(architecture)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    with torch.no_grad():
        expected = plain.eval()(**inputs(architecture)).logits
        model = adapters.put(KNOBS, plain, task="causal_lm", seed=0)
        assert not model(**inputs(architecture)).logits.equal(expected)
        bare = adapters.unload(model)
        assert bare(**inputs(architecture)).logits.equal(expected)
    assert same(bare.state_dict(), before)


def test_only_the_network_is_saved_and_a_new_base_goes_along(bench: Bench) -> None:
    vit = {**jobs.SIZES, "architecture": "vit", "image_size": 8, "patch_size": 2, "channels": 1}
    run = bench.run({"kind": "finetune", "model": vit, "data": {"source": "builtin", "name": "digits"},
                     "method": {"name": "unipt"}, "steps": 3, "checkpoint_every": 0})  # fmt: skip
    saved = run.weights("model/adapter.safetensors")
    assert all(name.startswith(("side.", "classifier.")) for name in saved)
    assert sum(value.numel() for value in saved.values()) == run.facts["parameters"]["trainable"]
    assert run.facts["parameters"] == run.facts["plan"]["parameters"]
    assert not [name for name in run.weights("model/base/model.safetensors") if name.startswith("side.")]


def test_state_takes_the_planned_bytes(bench: Bench) -> None:
    job = jobs.job(bench, "unipt")
    jobs.step(job)
    assert jobs.state_bytes(job) == jobs.planned(job)
    assert jobs.flops("unipt") < jobs.flops("full")
