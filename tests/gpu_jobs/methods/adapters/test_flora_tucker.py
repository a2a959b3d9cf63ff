"""FLoRA: a core and one factor a dimension."""

from __future__ import annotations

import torch
from torch import nn

from tests.gpu_jobs.methods.adapters.layers import merged_distance, on, planned_and_built, shaken, trained


def test_a_linear_layer_has_a_core_between_two_factors() -> None:
    linear, x = nn.Linear(12, 9), torch.randn(3, 12)
    layer = on(linear, "flora_tucker", core=4, scale=2)
    assert layer(x).equal(linear(x))
    assert trained(layer) == 4 * 4 + 4 * (9 + 12)
    v = shaken(layer).values
    torch.testing.assert_close(layer(x), linear(x) + 2 * x @ (v.U1 @ v.G @ v.U2.T).T, atol=1e-5, rtol=1e-5)
    assert merged_distance(layer, x) < 1e-5


def test_with_the_identity_as_core_it_is_lora() -> None:
    linear, x = nn.Linear(12, 9), torch.randn(3, 12)
    layer = shaken(on(linear, "flora_tucker", core=4))
    layer.values.G.data = torch.eye(4)
    torch.testing.assert_close(layer(x), linear(x) + x @ layer.values.U2 @ layer.values.U1.T, atol=1e-5, rtol=1e-5)


def test_a_convolution_has_a_factor_for_each_of_four_dimensions() -> None:
    plain, image = nn.Conv2d(5, 6, 3, padding=1), torch.randn(2, 5, 4, 4)
    layer = on(plain, "flora_tucker", core=4)
    assert trained(layer) == 4 * 4 * 3 * 3 + 6 * 4 + 5 * 4 + 2 * 3 * 3
    v = shaken(layer).values
    kernel = torch.einsum("abcd,oa,ib,hc,wd->oihw", v.G, v.U1, v.U2, v.U3, v.U4)
    expected = nn.functional.conv2d(image, plain.weight + kernel, plain.bias, padding=1)
    torch.testing.assert_close(layer(image), expected, atol=1e-5, rtol=1e-5)
    assert merged_distance(layer, image) < 1e-5


def test_the_plan_counts_core_and_factors() -> None:
    for architecture, targets in (("llama", "all"), ("gpt2", "all"), ("bert", "mlp"), ("vit", ["projection", "fc1"])):
        planned, built, _ = planned_and_built(architecture, "flora_tucker", core=4, targets=targets)
        assert planned == built
