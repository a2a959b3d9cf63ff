"""Knobs that do not fit a model's layers are an error that names the knob and the layer, before anything is built."""

from __future__ import annotations

from typing import Any

import pytest

from gpu_jobs import fits, registry
from gpu_jobs.anatomy import Anatomy, Layer
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.adapters.test_counts import anatomy_of, knobs_of

ODD = Anatomy({"model_type": "llama"}, {"layers.0.self_attn.q_proj.weight": (35, 33)})  # nothing divides both
SMALL = anatomy_of("llama")  # sides of 16 and 24
REFUSED: list[tuple[str, Anatomy, dict[str, Any], str]] = [
    ("pissa", SMALL, {"rank": 17}, r"method.rank .* 17 > 16 of .*q_proj"),
    ("olora", SMALL, {"rank": 17}, r"method.rank .* 17 > 16"),
    ("mica", SMALL, {"rank": 17}, r"method.rank .* 17 > 16"),
    ("corda", SMALL, {"rank": 17}, r"method.rank .* 17 > 16"),
    ("lora_ga", SMALL, {"rank": 9}, r"method.rank doubled .* 18 > 16"),
    ("kasa", SMALL, {"rank": 16}, r"method.rank plus one .* 17 > 16"),
    ("psoft", SMALL, {"rank": 17}, r"method.rank .* 17 > 16"),
    ("miss", SMALL, {"rank": 17}, r"method.rank .* 17 > 16"),
    ("shira", SMALL, {"rank": 9}, r"method.rank asks for 288 entries of .*q_proj, which has 256"),
    ("supertuning", SMALL, {"sparsity": 0.999}, r"method.sparsity 0.999 leaves no entry of .*q_proj"),
    ("orthogonal", SMALL, {"rank": 3}, r"method.rank must be even: 3"),
    ("hra", SMALL, {"rank": 3}, r"method.rank must be even: 3"),
    ("gralora", SMALL, {"rank": 9}, r"method.rank must be a multiple of method.blocks: 9 and 2"),
    ("gralora", ODD, {"rank": 8}, r"method.blocks .*q_proj is 35 x 33"),
    ("oft", ODD, {"block": 2}, r"method.block .*q_proj has 33"),
    ("boft", ODD, {"block": 2}, r"method.block .*q_proj has 33"),
    ("road", ODD, {}, r"method.group .*q_proj has 35"),
    ("cartridge", SMALL, {"tokens": 2, "sinks": 2}, r"method.sinks .* 2 and 2"),
    ("adaption_prompt", SMALL, {"blocks": 3}, r"method.blocks .* 3 > 2"),
]


@pytest.mark.parametrize(("name", "anatomy", "changes", "message"), REFUSED)
def test_a_knob_that_does_not_fit_is_named(name: str, anatomy: Anatomy, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError, match=message):
        registry.methods("adapters")[name].module.sizes(knobs_of(name, changes), anatomy)


@pytest.mark.parametrize(
    ("limit", "widths", "step", "found"),
    [(32, [64, 96], 1, 32), (32, [16, 24], 1, 8), (7, [24], 1, 6), (64, [20], 4, 20)],
)
def test_a_block_is_the_largest_that_divides_all(limit: int, widths: list[int], step: int, found: int) -> None:
    layers = [(Layer(f"layer {width}", width, width), width) for width in widths]
    assert fits.block(limit, layers, "block", step=step) == found
