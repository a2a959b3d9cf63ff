"""The schedules against their equations."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_jobs import registry
from gpu_jobs.methods.schedules import Moment, cubic_budget

NAMES = sorted(registry.methods("schedules"))
WARM = [name for name in NAMES if "warmup_steps" in registry.methods("schedules")[name].knobs.model_fields]
BATCH, TOKENS = 4, 64  # samples and tokens of an update


def factors(name: str, steps: int, peak: float = 1e-3, **knobs: Any) -> list[float]:
    method = registry.methods("schedules")[name]
    chosen = method.knobs(name=name, **knobs)
    return [method.module.factor(chosen, Moment(step, steps, step * TOKENS, BATCH, peak)) for step in range(steps)]


@pytest.mark.parametrize("name", WARM)
def test_warm_up_rises_in_equal_parts_to_the_peak(name: str) -> None:
    found = factors(name, 100, warmup_steps=4)
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert found[4] == pytest.approx(1.0)


@pytest.mark.parametrize("name", WARM)
@given(steps=st.integers(1, 60), warmup=st.integers(0, 80))
def test_no_rate_is_ever_outside_zero_to_peak(name: str, steps: int, warmup: int) -> None:
    assert all(0 <= factor <= 1 for factor in factors(name, steps, warmup_steps=warmup))


@given(steps=st.integers(1, 60), rise=st.floats(0, 1), start=st.floats(0, 1), final=st.floats(0, 1))
def test_onecycle_is_never_outside_zero_to_peak(steps: int, rise: float, start: float, final: float) -> None:
    found = factors("onecycle", steps, rise=rise, start=start, final=final)
    assert all(-1e-12 <= factor <= 1 + 1e-12 for factor in found)


LAST = {  # in the last of 20 updates, after a warm-up of 4
    "constant": 1.0,
    "linear": 1 - 15 / 16,
    "cosine": (1 + math.cos(math.pi * 15 / 16)) / 2,
    "wsd": 1 - math.sqrt(3 / 4),
    "onecycle": 4e-6,
    "power": 1 - 1 / 2,
    "cubic_budget": (1 / 16) ** 3,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_last_update_has_the_rate_of_the_equation(name: str) -> None:
    knobs = {"warmup_steps": 4} if name in WARM else {}
    assert factors(name, 20, **knobs)[-1] == pytest.approx(LAST[name])


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


@pytest.mark.parametrize(("shape", "theirs"), [("cosine", "cos"), ("linear", "linear")])
@pytest.mark.parametrize("steps", [10, 37, 100])
def test_onecycle_is_torch_s_onecycle(shape: str, theirs: Any, steps: int) -> None:
    from torch import nn, optim

    optimizer = optim.SGD([nn.Parameter(nn.init.zeros_(nn.Linear(1, 1).weight))], lr=1.0)
    reference = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=steps, pct_start=0.3, anneal_strategy=theirs, cycle_momentum=False
    )
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < steps:
            reference.step()
    assert factors("onecycle", steps, anneal=shape) == pytest.approx(expected)
    assert max(expected) <= 1.0


def power(moment: Moment, **knobs: Any) -> float:
    """The rate itself."""
    method = registry.methods("schedules")["power"]
    return float(moment.peak * method.module.factor(method.knobs(name="power", **knobs), moment))


def test_power_is_capped_and_then_a_line_of_slope_b_on_log_log() -> None:
    """beta a n^b crosses lr at n = (lr / (beta a))^(1/b)."""
    crossing = (0.02 / (128 * 4)) ** (1 / -0.51)
    before = [power(Moment(10, 10**6, round(crossing * share), 128, 0.02)) for share in (0, 1e-3, 0.5, 0.999)]
    assert before == pytest.approx([0.02] * 4)
    near, far = (power(Moment(10, 10**6, round(crossing * times), 128, 0.02)) for times in (2, 2000))
    assert near == pytest.approx(0.02 * 2**-0.51)
    assert math.log(far / near) / math.log(1000) == pytest.approx(-0.51)


def test_power_depends_on_the_tokens_read_and_not_on_how_many_will_be() -> None:
    found = {power(Moment(500, steps, 10**9, 128, 0.02)) for steps in (600, 10_000, 10**8)}
    assert len(found) == 1
    assert found.pop() == pytest.approx(128 * 4 * 1e9**-0.51)


def test_power_goes_by_tokens_and_batch_not_by_steps() -> None:
    """Twice the batch is twice the rate at the same tokens, in whatever update they are reached."""
    assert power(Moment(50, 10**6, 10**9, 256, 1.0)) == pytest.approx(2 * power(Moment(100, 10**6, 10**9, 128, 1.0)))
    assert power(Moment(7, 10**6, 10**9, 128, 1.0)) == power(Moment(7_000, 10**6, 10**9, 128, 1.0))


def test_power_decays_to_zero_over_its_last_tenth() -> None:
    found = [power(Moment(step, 100, 10**9, 128, 0.02)) / (128 * 4 * 1e9**-0.51) for step in range(100)]
    assert found == pytest.approx([1.0] * 91 + [1 - step / 10 for step in range(1, 10)])


def test_the_cubic_budget_is_adalora_s() -> None:
    """PEFT's own schedule of ranks, from 12 x 3 down to 4 x 3; it cuts the value to a whole number."""
    from peft import AdaLoraConfig
    from peft.tuners.adalora.layer import RankAllocator

    allocator = RankAllocator.__new__(RankAllocator)
    allocator.peft_config = AdaLoraConfig(init_r=12, target_r=4, tinit=20, tfinal=30, total_step=200, deltaT=1)
    allocator.init_bgt, allocator.target_bgt = 36, 12
    expected = [allocator.budget_schedule(step)[0] for step in range(201)]
    assert [int(cubic_budget.budget(36, 12, step, 200, 20, 30)) for step in range(201)] == expected


@given(
    ends=st.tuples(st.floats(0, 100), st.floats(0, 100)),
    steps=st.integers(1, 50),
    begin=st.integers(0, 60),
    tail=st.integers(0, 60),
)
def test_a_cubic_budget_is_monotone_with_exact_ends(
    ends: tuple[float, float], steps: int, begin: int, tail: int
) -> None:
    initial, final = ends
    found = [cubic_budget.budget(initial, final, step, steps, begin, tail) for step in range(steps + 1)]
    assert found == pytest.approx(sorted(found, reverse=initial > final))
    assert found[-1] == final
    assert found[0] == (initial if tail < steps else final)


def test_cubic_holds_falls_and_stays() -> None:
    found = factors("cubic_budget", 20, warmup_steps=2, hold=0.25, tail=0.25, final=0.2)
    assert found[2:6] == [1.0] * 4
    assert found[5:15] == pytest.approx([0.2 + 0.8 * (1 - step / 10) ** 3 for step in range(10)])
    assert found[15:] == [0.2] * 5
