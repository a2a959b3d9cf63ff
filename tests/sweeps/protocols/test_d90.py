"""d90 of planted curves: the crossing, a miss that stays a miss, and bisection that ends there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sweeps.protocols.study import FINETUNE, Series, row
from webapp.accounts.errors import Invalid
from webapp.sweeps.protocols import d90 as protocol

LABELS = {1: {"part": "search"}, 2: {"part": "full"}}


def knobs(**changes: Any) -> protocol.Knobs:
    return protocol.Knobs(name="d90", metric="eval/accuracy", goal="maximize", **changes)


def run(dimension: int, score: float, seed: int = 0) -> Any:
    return row({"method.rank": dimension}, metrics={"eval/accuracy": score}, trainable=10 * dimension, seed=seed)


def full(score: float) -> Any:
    return row({}, metrics={"eval/accuracy": score}, sweep=2, spec={**FINETUNE, "method": {"name": "full"}})


def test_it_is_the_smallest_dimension_that_reaches_the_share() -> None:
    rows = [run(1, 0.2), run(4, 0.7), run(16, 0.72), run(64, 0.8), full(0.8)]
    result = protocol.analyse(knobs(), rows, Series(), LABELS)
    assert (result.found, result.trainable, result.target) == (16, 160, pytest.approx(0.72))
    assert [p.reached for p in result.points] == [False, False, True, True]


def test_a_missed_target_is_not_found_rather_than_the_largest() -> None:
    result = protocol.analyse(knobs(), [run(1, 0.2), run(64, 0.5), full(0.8)], Series(), LABELS)
    assert result.found is None and result.next == []


def test_seeds_are_averaged_and_chance_is_taken_off() -> None:
    rows = [run(4, 0.5), run(4, 0.7, seed=1), full(0.9)]
    result = protocol.analyse(knobs(chance=0.1), rows, Series(), LABELS)
    assert result.points[0].share == pytest.approx((0.6 - 0.1) / (0.9 - 0.1))
    assert result.target == pytest.approx(0.1 + 0.9 * 0.8)


def test_of_a_loss_less_is_better_and_its_first_value_is_chance() -> None:
    told = {"train/loss": [5.0, 1.0]}
    rows = [row({"method.rank": 2}, 1.3, metrics=told), row({}, 1.0, sweep=2, metrics=told)]
    result = protocol.analyse(protocol.Knobs(name="d90"), rows, Series(), LABELS)
    assert (result.chance, result.target, result.found) == (5, pytest.approx(1.4), 2)


def test_without_the_full_run_it_says_that_nothing_can_be_compared() -> None:
    result = protocol.analyse(knobs(), [run(4, 0.5)], Series(), LABELS)
    assert result.found is None
    assert any("no score yet" in note for note in result.notes)


@given(crossing=st.integers(1, 4096))
@settings(max_examples=40)
def test_bisection_ends_at_the_crossing_of_a_monotone_curve(crossing: int) -> None:
    def score(dimension: int) -> float:
        return 1.0 if dimension >= crossing else 0.5

    tried = {1, 8, 64, 512, 4096}
    for _ in range(30):
        rows = [*(run(d, score(d)) for d in sorted(tried)), full(1.0)]
        result = protocol.analyse(knobs(), rows, Series(), LABELS)
        if not result.next:
            break
        tried |= set(result.next)
    assert result.found == crossing


def test_the_plan_has_a_log_grid_and_the_run_of_all_weights() -> None:
    searched, whole = protocol.plan(knobs(low=1, high=64, points=4), FINETUNE)
    assert searched.definition["search"]["space"] == {"method.rank": {"choices": [1, 4, 16, 64]}}
    assert (whole.definition["spec"]["method"], whole.definition["trials"]) == ({"name": "full"}, 1)
    with pytest.raises(Invalid, match="has no knob 'dimension'"):
        protocol.plan(knobs(knob="dimension"), FINETUNE)
