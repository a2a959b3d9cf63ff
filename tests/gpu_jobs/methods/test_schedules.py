"""The schedules against their equations."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_jobs import registry

NAMES = sorted(registry.methods("schedules"))


def factors(name: str, steps: int, **knobs: Any) -> list[float]:
    method = registry.methods("schedules")[name]
    chosen = method.knobs(name=name, **knobs)
    return [method.module.factor(chosen, step, steps) for step in range(steps)]


@pytest.mark.parametrize("name", NAMES)
def test_warm_up_rises_in_equal_parts_to_the_peak(name: str) -> None:
    found = factors(name, 100, warmup_steps=4)
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert found[4] == pytest.approx(1.0)


@pytest.mark.parametrize("name", NAMES)
@given(steps=st.integers(1, 60), warmup=st.integers(0, 80))
def test_no_rate_is_ever_outside_zero_to_peak(name: str, steps: int, warmup: int) -> None:
    assert all(0 <= factor <= 1 for factor in factors(name, steps, warmup_steps=warmup))


def test_constant_stays_at_the_peak() -> None:
    assert factors("constant", 5) == [1.0] * 5


def test_linear_falls_on_a_line() -> None:
    assert factors("linear", 10, warmup_steps=2, final=0.2)[2:] == pytest.approx(
        [1 - 0.8 * step / 8 for step in range(8)]
    )


def test_cosine_falls_on_half_a_cosine() -> None:
    found = factors("cosine", 9, warmup_steps=1, final=0.1)
    assert found[1:] == pytest.approx([0.1 + 0.9 * (1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)])
    assert found[5] == pytest.approx(0.55)  # half way is the middle of peak and end


def test_cosine_is_torch_s_cosine() -> None:
    from torch import nn, optim

    optimizer = optim.SGD([nn.Parameter(nn.init.zeros_(nn.Linear(1, 1).weight))], lr=1.0)
    reference = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20, eta_min=0.1)
    expected = []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert factors("cosine", 20, final=0.1) == pytest.approx(expected)


@pytest.mark.parametrize(("shape", "bend"), [("linear", lambda x: x), ("sqrt", math.sqrt)])
def test_wsd_is_flat_and_then_decays(shape: str, bend: Any) -> None:
    found = factors("wsd", 20, warmup_steps=2, decay=0.25, final=0.1, shape=shape)
    assert found[2:15] == [1.0] * 13
    assert found[15:] == pytest.approx([1 - 0.9 * bend(step / 5) for step in range(5)])
