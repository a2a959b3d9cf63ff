"""Bi-adapter: few values a tensor, packed in the file, gradients as if there were no rounding."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from gpu_jobs.engine import adapters
from gpu_jobs.errors import MethodError
from gpu_jobs.methods.adapters import bi_adapter
from tests.gpu_jobs.engine.test_adapters import build, outputs
from tests.gpu_jobs.methods.adapters.layers import finetune, knobs_of, on, planned_and_built
from tests.gpu_jobs.training import Bench, Outcome


def test_levels_are_the_medians_of_equally_likely_bins() -> None:
    """Phi^-1(1/4) and Phi^-1(3/4) for one bit; two bits from a table of the normal distribution."""
    assert bi_adapter.levels(1) == (pytest.approx([-0.67449, 0.67449], abs=1e-5), pytest.approx([0.0], abs=1e-9))
    medians, bounds = bi_adapter.levels(2)
    assert medians == pytest.approx([-1.15035, -0.31864, 0.31864, 1.15035], abs=1e-5)
    assert bounds == pytest.approx([-0.67449, 0, 0.67449], abs=1e-5)


@pytest.mark.parametrize("bits", range(1, 9))
def test_a_tensor_has_at_most_two_to_the_bits_values_and_survives_packing(bits: int) -> None:
    knobs = knobs_of("bi_adapter", bits=bits)
    values = {"down": torch.randn(7, 11), "up": torch.randn(5, 7), "fixed": torch.empty(0)}
    packed = bi_adapter.pack(knobs, {name: values[name] for name in ("down", "up")})
    again = bi_adapter.unpack(knobs, packed, {name: tuple(values[name].shape) for name in ("down", "up")})
    for name in ("down", "up"):
        used = bi_adapter.quantised(knobs, values, name)
        assert len(used.unique()) <= 2**bits
        assert again[name].equal(used)
        stored = packed[f"{name}_codes"], packed[f"{name}_moments"]
        assert sum(value.nbytes for value in stored) == math.ceil(used.numel() * bits / 8) + 8


def test_gradients_pass_as_if_there_were_no_rounding() -> None:
    layer = on(nn.Linear(12, 9), "bi_adapter", width=4)
    x, c = torch.randn(3, 12), torch.randn(3, 9)
    (layer(x) * c).sum().backward()
    knobs, values = layer.knobs, layer.named_values
    down, up = (bi_adapter.quantised(knobs, values, name).detach().requires_grad_() for name in ("down", "up"))
    ((layer.base(x) + x @ down.T @ up.T) * c).sum().backward()
    torch.testing.assert_close(layer.values.down.grad, down.grad)
    torch.testing.assert_close(layer.values.up.grad, up.grad)


@pytest.mark.parametrize("host", ["lora", "adaptformer"])
@pytest.mark.parametrize("bits", [1, 3])
def test_the_file_holds_packed_codes_and_computes_the_same(bench: Bench, base: Outcome, host: str, bits: int) -> None:
    from transformers import AutoModelForCausalLM

    plain = base.work_dir / "model"
    run = finetune(bench, plain, {"method": {"name": "bi_adapter", "host": host, "bits": bits, "width": 4}})
    folder = run.work_dir / "model"
    stored = load_file(folder / adapters.WEIGHTS)
    ups = 2 if host == "adaptformer" else 8
    assert sum(value.nbytes for value in stored.values()) == 2 * ups * (4 * 16 * bits // 8 + 8)
    loaded = adapters.load(folder, AutoModelForCausalLM.from_pretrained(plain))
    ids = torch.arange(32).reshape(2, 16)
    with torch.no_grad():
        before = AutoModelForCausalLM.from_pretrained(plain).eval()(input_ids=ids).logits
        assert not loaded.eval()(input_ids=ids).logits.equal(before)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert", "vit"])
@pytest.mark.parametrize("host", ["lora", "adaptformer"])
def test_the_plan_counts_two_matrices_a_place(architecture: str, host: Any) -> None:
    planned, built, _ = planned_and_built(architecture, "bi_adapter", host=host, width=4)
    assert planned == built


def test_the_host_lora_merges_and_adaptformer_does_not() -> None:
    model = adapters.attach(knobs_of("bi_adapter", bits=2), build("llama"), task="causal_lm", seed=0)
    expected = outputs(model)
    torch.testing.assert_close(outputs(adapters.merge(model)), expected, atol=1e-5, rtol=1e-5)
    beside = knobs_of("bi_adapter", host="adaptformer")
    model = adapters.attach(beside, build("llama"), task="causal_lm", seed=0)
    with pytest.raises(MethodError, match="can't be merged"):
        adapters.merge(model)
