"""Compacter: Kronecker sums, counted exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_jobs.engine import adapters
from gpu_jobs.engine.adapters import host
from gpu_jobs.errors import MethodError
from gpu_jobs.methods.adapters import compacter
from tests.gpu_jobs.engine.test_adapters import build, outputs
from tests.gpu_jobs.methods.adapters.layers import knobs_of, planned_and_built


def test_the_product_is_the_sum_of_kronecker_products() -> None:
    a, s, t = torch.randn(4, 4, 4), torch.randn(4, 6), torch.randn(4, 2)
    expected = sum(torch.kron(a[j], torch.outer(s[j], t[j])) for j in range(4))
    torch.testing.assert_close(compacter.product(a, s, t), expected)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert", "vit"])
@pytest.mark.parametrize("attention", [True, False])
def test_it_trains_3_d_and_b_an_adapter_n_cubed_and_the_norms(architecture: str, attention: bool) -> None:
    planned, built, model = planned_and_built(architecture, "compacter", attention=attention, reduction=2)
    norms = sum(value.numel() for name, value in build(architecture).named_parameters() if "norm" in name.lower()
                or ".ln_" in name)  # fmt: skip
    places = 4 if attention else 2
    head = sum(value.numel() for value in getattr(model, "classifier", torch.nn.Module()).parameters())
    assert planned == built == places * 3 * (16 + 8) + 4**3 + norms + head


def test_the_figures_of_the_abstract_are_those_of_t5_base_with_its_norms() -> None:
    """d = 768, b = 24; 24 blocks; 62 norms; shared matrices of encoder and decoder; 222.9M parameters."""
    adapter, shared, norms, total = 3 * (768 + 24), 2 * 4**3, 62 * 768, 222_903_552
    assert round(100 * (24 * adapter + shared + norms) / total, 3) == 0.047
    assert round(100 * (48 * adapter + shared + norms) / total, 3) == 0.073


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert", "vit"])
def test_it_begins_near_the_base(architecture: str) -> None:
    plain = outputs(build(architecture))
    model = adapters.attach(knobs_of("compacter"), build(architecture), task="causal_lm", seed=0)
    torch.testing.assert_close(outputs(model), plain, atol=1e-4, rtol=0)


def test_all_adapters_share_one_set_of_matrices() -> None:
    model = adapters.attach(knobs_of("compacter"), build("llama"), task="causal_lm", seed=0)
    shared = {id(layer.values.A) for layer in host.adapted(model).values() if hasattr(layer.values, "A")}
    assert len(shared) == 1


def test_trained_norms_leave_the_base_its_own() -> None:
    model = build("llama")
    plain = outputs(model)
    adapters.attach(knobs_of("compacter"), model, task="causal_lm", seed=0)
    host.adapted(model)["model.norm"].values.weight.data += 1
    assert not torch.allclose(outputs(model), plain, atol=1e-2)
    assert outputs(adapters.unload(model)).equal(plain)


@pytest.mark.parametrize(
    ("width", "knobs", "inner"), [(768, {}, 24), (16, {}, 4), (768, {"n": 16, "reduction": 20}, 32)]
)
def test_the_inside_is_a_multiple_of_n(width: int, knobs: dict[str, Any], inner: int) -> None:
    assert compacter.inner(knobs_of("compacter", **knobs), width) == inner


def test_n_must_divide_the_width() -> None:
    with pytest.raises(MethodError, match="3 does not divide 16"):
        adapters.attach(knobs_of("compacter", n=3), build("llama"), task="causal_lm", seed=0)
