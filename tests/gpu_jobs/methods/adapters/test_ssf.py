"""SSF: features scaled and shifted, on every architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gpu_jobs.engine import adapters
from tests.gpu_jobs.engine.test_adapters import outputs
from tests.gpu_jobs.methods.adapters.layers import knobs_of, merged_distance, on, planned_and_built, shaken, trained
from tests.gpu_jobs.methods.test_lora import build


class Gain(nn.Module):
    """A norm without a bias, as llama's."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x / x.square().mean(-1, keepdim=True).sqrt()


CASES = {
    "linear": (lambda: nn.Linear(6, 4), (3, 6), 2 * 4),
    "linear without bias": (lambda: nn.Linear(6, 4, bias=False), (3, 6), 4),
    "layer norm": (lambda: nn.LayerNorm(6), (3, 6), 2 * 6),
    "norm without bias": (Gain, (3, 6), 6),
    "convolution": (lambda: nn.Conv2d(2, 4, 3, stride=2), (1, 2, 7, 7), 2 * 4),
}


@pytest.mark.parametrize("case", CASES)
def test_each_layer_is_scaled_and_shifted_by_channel_and_merges(case: str) -> None:
    make, shape, count = CASES[case]
    plain, x = make(), torch.randn(*shape)
    expected = plain(x)
    layer = shaken(on(plain, "ssf"))
    assert trained(layer) == count
    values = layer.named_values
    by_channel = (1, -1, 1, 1) if len(shape) == 4 else (-1,)
    expected = expected * values["gamma"].view(by_channel)
    if "beta" in values:
        expected = expected + values["beta"].view(by_channel)
    torch.testing.assert_close(layer(x), expected)
    assert merged_distance(layer, x) < 1e-5


def test_exact_begins_at_the_base_and_paper_near_it() -> None:
    linear, x = nn.Linear(200, 300), torch.randn(3, 200)
    assert on(linear, "ssf", start="exact")(x).equal(linear(x))
    values = on(linear, "ssf").values
    assert float(values.gamma.mean()) == pytest.approx(1, abs=4 * 0.02 / 300**0.5)
    assert float(values.gamma.std()) == pytest.approx(0.02, rel=0.2)
    assert float(values.beta.std()) == pytest.approx(0.02, rel=0.2)


# channels behind each layer of a block of width 16 and feed-forward 24 (gpt2: 64), 2 blocks
BLOCK = {
    "llama": 2 * (4 * 16 + 24 + 24 + 16 + 2 * 16) + 16,
    "gpt2": 2 * (2 * (48 + 16 + 64 + 16) + 2 * 2 * 16) + 2 * 16,
    "bert": 2 * (2 * (4 * 16 + 24 + 16) + 2 * 2 * 16) + 2 * 16,
    "vit": 2 * (2 * (4 * 16 + 24 + 16) + 2 * 2 * 16) + 2 * 16 + 2 * 16,
}


@pytest.mark.parametrize("architecture", BLOCK)
def test_two_numbers_a_channel_or_one_where_there_is_no_bias(architecture: str) -> None:
    planned, built, model = planned_and_built(architecture, "ssf")
    head = sum(
        value.numel() for name in ("score", "classifier") for value in getattr(model, name, nn.Module()).parameters()
    )
    assert planned == built == BLOCK[architecture] + head


@pytest.mark.parametrize("architecture", BLOCK)
@pytest.mark.parametrize("places", ["all", "linear", "norms"])
def test_a_whole_model_merges(architecture: str, places: Any) -> None:
    model = build(architecture)
    plain = outputs(model)
    adapted = adapters.attach(knobs_of("ssf", places=places), model, task="causal_lm", seed=0)
    expected = outputs(adapted)
    assert not expected.equal(plain)
    torch.testing.assert_close(outputs(adapters.merge(adapted)), expected, atol=1e-5, rtol=1e-5)
