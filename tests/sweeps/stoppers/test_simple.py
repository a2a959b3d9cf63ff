"""Median, patience and threshold: the rules as they are written, on values computed by hand."""

from __future__ import annotations

import pytest

from tests.sweeps.stoppers.curves import curve
from webapp.sweeps.stoppers import median, patience, threshold

MEDIAN = median.Knobs(name="median", grace_steps=20, min_trials=3)
OTHERS = [curve(2, [3.0, 1.0, 0.0]), curve(3, [4.0, 2.0, 0.0]), curve(4, [9.0, 9.0, 0.0])]  # averages at 20: 2, 3, 9


@pytest.mark.parametrize(("values", "stops"), [([9.0, 2.9], False), ([3.0, 9.0], False), ([9.0, 3.1], True)])
def test_the_best_value_is_held_against_the_median_of_running_averages(values: list[float], stops: bool) -> None:
    decision = median.decide(MEDIAN, curve(1, values), OTHERS)
    assert decision is not None and (decision.stop, decision.judged_step) == (stops, 20)


def test_median_waits_for_its_grace_and_for_enough_others() -> None:
    assert median.decide(MEDIAN, curve(1, [9.0]), OTHERS) is None
    assert median.decide(MEDIAN, curve(1, [9.0, 9.0]), OTHERS[:2]) == (False, 20, "", None)
    short = [*OTHERS[:2], curve(4, [0.0])]
    assert median.decide(MEDIAN, curve(1, [9.0, 9.0]), short) == (False, 20, "", None)


def test_reasons_speak_in_the_metric_s_own_sign() -> None:
    """An accuracy of 0.4 that is maximised comes as -0.4."""
    others = [curve(number, [-0.9, -0.9]) for number in (2, 3, 4)]
    decision = median.decide(MEDIAN, curve(1, [-0.4, -0.4]), others, sign=-1.0)
    assert decision is not None
    assert decision.reason == "best of 0.4 by step 20 is worse than the median of 3 others' averages, 0.9"


def test_patience_counts_from_the_last_improvement_that_is_large_enough() -> None:
    knobs = patience.Knobs(name="patience", steps=20, min_delta=0.1)
    values = [1.0, 0.8, 0.75, 0.71, 0.65]  # 0.65 is the first to be 0.1 below 0.8
    stops = [patience.decide(knobs, curve(1, values[:points]), []) for points in range(1, 6)]
    assert [decision and decision.stop for decision in stops] == [False, False, False, True, False]
    assert stops[3] is not None and stops[3].reason == "no improvement by more than 0.1 since step 20"


def test_patience_waits_for_its_grace() -> None:
    knobs = patience.Knobs(name="patience", steps=10, grace_steps=40)
    assert patience.decide(knobs, curve(1, [1.0, 2.0, 3.0]), []) is None
    decision = patience.decide(knobs, curve(1, [1.0, 2.0, 3.0, 4.0]), [])
    assert decision is not None and decision.stop


@pytest.mark.parametrize(
    ("sign", "value", "stops"), [(1.0, 0.49, False), (1.0, 0.51, True), (-1.0, 0.51, False), (-1.0, 0.49, True)]
)
def test_a_threshold_is_given_as_measured(sign: float, value: float, stops: bool) -> None:
    knobs = threshold.Knobs(name="threshold", value=0.5, step=20)
    assert threshold.decide(knobs, curve(1, [sign * value]), [], sign) is None
    decision = threshold.decide(knobs, curve(1, [sign * value] * 3), [], sign)
    assert decision is not None and (decision.stop, decision.judged_step) == (stops, 20)
    assert not stops or decision.reason == f"{value:g} at step 20 is past the threshold 0.5"
