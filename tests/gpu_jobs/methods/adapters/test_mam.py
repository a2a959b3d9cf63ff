"""MAM: a prefix in attention, an adapter beside the feed-forward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gpu_jobs.engine import adapters
from gpu_jobs.engine.adapters import host
from tests.gpu_jobs.engine.test_adapters import build, outputs
from tests.gpu_jobs.methods.adapters.layers import knobs_of, planned_and_built

ARCHITECTURES = ["llama", "gpt2", "bert", "vit"]


def adapted(architecture: str, **knobs: Any) -> Any:
    model = adapters.attach(knobs_of("mam", **knobs), build(architecture), task="causal_lm", seed=0)
    for layer in host.adapted(model).values():
        for name in ("K", "V"):
            if name in layer.named_values:
                nn.init.normal_(layer.named_values[name])
    return model


def reference(module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float, **options: Any) -> Any:
    """softmax(Q [P_k; K]^T s + mask) [P_v; V], written out; every token sees the prefix, and no later token."""
    groups = query.shape[1] // key.shape[1]
    front = [part.expand(len(query), -1, -1, -1) for part in module.hand]
    key, value = torch.cat([front[0], key], 2), torch.cat([front[1], value], 2)
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(2, 3) * scaling
    if module.is_causal:
        tokens, length = query.shape[2], module.hand[0].shape[1]
        hidden = torch.ones(tokens, tokens).triu(1).bool()
        scores[..., length:].masked_fill_(hidden, float("-inf"))
    return (scores.softmax(-1) @ value).transpose(1, 2), None


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_prefix_is_attention_over_joined_keys_and_values(architecture: str) -> None:
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
    from transformers.modeling_utils import AttentionInterface

    model = adapted(architecture, prefix=3, width=4)
    found = outputs(model)
    for layer in host.adapted(model).values():
        if "K" in layer.named_values:
            layer.base.hand = layer.values.K, layer.values.V
    plain = adapters.unload(model)
    AttentionInterface.register("by_hand", reference)
    AttentionMaskInterface.register("by_hand", sdpa_mask)
    plain.config._attn_implementation = "by_hand"
    torch.testing.assert_close(outputs(plain), found, atol=1e-5, rtol=1e-5)
    assert not found.equal(outputs(build(architecture)))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_a_prefix_it_begins_at_the_base(architecture: str) -> None:
    assert outputs(adapted(architecture, prefix=0, width=4)).equal(outputs(build(architecture)))


def test_unloaded_it_is_the_base_again() -> None:
    plain = outputs(build("llama"))
    torch.testing.assert_close(outputs(adapters.unload(adapted("llama", prefix=3))), plain, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_trains_2_l_d_for_the_prefix_and_2_d_b_and_b_and_d_for_the_adapter(architecture: str) -> None:
    planned, built, model = planned_and_built(architecture, "mam", prefix=3, width=5)
    head = sum(value.numel() for value in getattr(model, "classifier", nn.Module()).parameters())
    assert planned == built == 2 * (2 * 3 * 16 + 2 * 16 * 5 + 5 + 16) + head


def test_padded_tokens_stay_hidden_behind_a_prefix() -> None:
    model = adapted("bert", prefix=3, width=4).eval()
    ids = torch.tensor([[1, 2, 3, 4]])
    padded = torch.tensor([[1, 2, 3, 4, 0, 0]])
    with torch.no_grad():
        alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        beside = model(input_ids=padded, attention_mask=(padded > 0).long()).logits
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=1e-5)


def test_with_grouped_queries_and_a_cache_it_generates_what_it_computes() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, vocab_size=9, eos_token_id=None, bos_token_id=None)  # fmt: skip
    model = adapters.attach(knobs_of("mam", prefix=3, width=4), LlamaForCausalLM(config), task="causal_lm", seed=0)
    model.eval()
    ids = torch.tensor([[1, 2, 3]])
    cached = model.generate(ids, max_new_tokens=5, do_sample=False, use_cache=True)
    again = model.generate(ids, max_new_tokens=5, do_sample=False, use_cache=False)
    assert cached.equal(again)
