"""Bottleneck adapters, behind and beside the halves of a block, on every architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gpu_jobs.engine import adapters
from gpu_jobs.engine.adapters import host
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.engine.test_adapters import build, outputs
from tests.gpu_jobs.methods.adapters.layers import knobs_of, planned_and_built, shaken

ARCHITECTURES = ["llama", "gpt2", "bert", "vit"]
FORMS = ["serial", "parallel"]


def adapted(architecture: str, **knobs: Any) -> Any:
    return adapters.attach(knobs_of("bottleneck", **knobs), build(architecture), task="causal_lm", seed=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["both", "attention", "ffn"])
def test_it_begins_at_the_base_and_every_place_is_heard(architecture: str, form: str, place: str) -> None:
    plain = outputs(build(architecture))
    model = adapted(architecture, form=form, place=place, width=4)
    assert outputs(model).equal(plain)
    for layer in host.adapted(model).values():
        shaken(layer)
        heard = outputs(model)
        assert not heard.equal(plain)
        plain = heard


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("place", "places"), [("both", 2), ("ffn", 1), ("attention", 1)])
def test_it_trains_2_d_b_and_b_and_d_a_place(architecture: str, form: str, place: str, places: int) -> None:
    planned, built, model = planned_and_built(architecture, "bottleneck", form=form, place=place, width=5)
    head = sum(value.numel() for value in getattr(model, "classifier", nn.Module()).parameters())
    assert planned == built == 2 * places * (2 * 16 * 5 + 5 + 16) + head


def hand(values: Any, x: torch.Tensor, scale: float) -> torch.Tensor:
    return scale * (F.relu(x @ values.down.T + values.down_bias) @ values.up.T + values.up_bias)


def test_serial_reads_what_the_layer_gives_and_parallel_what_it_gets() -> None:
    x = torch.randn(2, 3, 16)
    serial = shaken(next(iter(host.adapted(adapted("llama", place="ffn", scale=4)).values())))
    y = serial.base(x[..., :1].expand(2, 3, serial.base.in_features))
    torch.testing.assert_close(serial(x[..., :1].expand(2, 3, serial.base.in_features)), y + hand(serial.values, y, 4))
    parallel = shaken(next(iter(host.adapted(adapted("llama", place="ffn", scale=4, form="parallel")).values())))
    torch.testing.assert_close(parallel(x), parallel.base(x) + hand(parallel.values, x, 4))


def test_beside_berts_feed_forward_it_joins_the_residual() -> None:
    """LayerNorm(FFN(x) + x + adapter(x))"""
    model = adapted("bert", form="parallel", place="ffn")
    layer = shaken(host.adapted(model)["bert.encoder.layer.0.output"])
    hidden, x = torch.randn(1, 2, 24), torch.randn(1, 2, 16)
    base = layer.base
    expected = base.LayerNorm(base.dense(hidden) + x + hand(layer.values, x, 1))
    torch.testing.assert_close(layer.eval()(hidden, x), expected)


def test_it_can_not_be_merged() -> None:
    with pytest.raises(MethodError, match="'bottleneck' can't be merged"):
        adapters.merge(adapted("llama"))
