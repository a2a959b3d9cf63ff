"""Differences against scipy's own tests, and Fieller's interval against its definition and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from webapp.sweeps.comparison.differences import versus

A = {0: 2.1, 1: 2.4, 2: 1.9, 3: 2.2}
B = {0: 2.9, 1: 3.3, 2: 2.6, 3: 3.1}
C = {7: 2.9, 8: 2.2, 9: 3.1}


def test_the_same_seeds_are_compared_pair_by_pair() -> None:
    found, reference = versus(A, B), stats.ttest_rel(list(A.values()), list(B.values()))
    bounds = reference.confidence_interval(0.95)
    assert (found.test, found.n) == ("paired", 4)
    assert found.absolute == pytest.approx((-0.825, bounds.low, bounds.high, reference.pvalue))
    assert found.is_noise is False


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_other_seeds_are_welchs(confidence: float) -> None:
    found = versus(A, C, confidence=confidence)
    reference = stats.ttest_ind(list(A.values()), list(C.values()), equal_var=False)
    bounds = reference.confidence_interval(confidence)
    assert (found.test, found.n) == ("welch", 0)
    assert found.absolute[1:] == pytest.approx((bounds.low, bounds.high, reference.pvalue))


def test_the_test_can_be_chosen() -> None:
    more = {**B, 9: 50.0}
    assert versus(A, B, "welch").test == "welch"
    assert versus(A, more).test == "welch"
    paired = versus(A, more, "paired")
    assert (paired.test, paired.n, paired.absolute) == ("paired", 4, versus(A, B).absolute)
    assert versus(A, C, "paired").absolute.low is None


def test_one_seed_has_a_difference_and_no_interval() -> None:
    found = versus({0: 1.0}, {0: 4.0})
    assert (found.test, found.absolute.mean, found.absolute.low, found.is_noise) == ("", -3.0, None, None)
    assert found.relative is not None and (found.relative.mean, found.relative.low) == (-0.75, None)


def test_seeds_that_always_differ_by_the_same_leave_no_doubt() -> None:
    found = versus({0: 1.0, 1: 2.0}, {0: 2.0, 1: 3.0})
    assert found.absolute == (-1.0, -1.0, -1.0, 0.0)
    assert versus({0: 2.0, 1: 2.0}, {0: 2.0, 1: 2.0}).is_noise is True


@pytest.mark.parametrize(("a", "b"), [(A, B), (A, C), (B, A)])
def test_the_relative_interval_holds_the_ratios_that_the_t_test_does_not_refuse(a, b) -> None:
    """Fieller's definition: at a bound R, a - R b lies exactly t standard errors from 0."""
    found = versus(a, b)
    assert found.relative is not None
    x, y = np.array(list(a.values())), np.array(list(b.values()))
    t = stats.t.ppf(0.975, 3) if found.test == "paired" else welch_t(x, y)
    for bound in (found.relative.low, found.relative.high):
        ratio = bound + 1
        gap = x.mean() - ratio * y.mean()
        error = (
            stats.sem(x - ratio * y)
            if found.test == "paired"
            else math.sqrt(stats.sem(x) ** 2 + ratio**2 * stats.sem(y) ** 2)
        )
        assert abs(gap) / error == pytest.approx(t)


def welch_t(x, y) -> float:
    return float(stats.t.ppf(0.975, stats.ttest_ind(x, y, equal_var=False).df))


def test_absolute_and_relative_agree_on_what_is_noise() -> None:
    rng = np.random.default_rng(0)
    for n in (2, 3, 5) * 60:
        a, b = (dict(enumerate(rng.normal(mean, 0.3, n))) for mean in (2.0, 2.3))
        for test in ("paired", "welch"):
            found = versus(a, b, test)
            if found.relative and found.relative.low is not None:
                assert (found.relative.low <= 0 <= found.relative.high) is found.is_noise


def test_a_baseline_near_zero_has_no_relative_interval_and_one_at_zero_no_ratio() -> None:
    near = versus({0: 1.0, 1: 1.2, 2: 0.9}, {5: 0.1, 6: -0.2, 7: 0.15}).relative
    assert near is not None and (near.low, near.high) == (None, None)
    assert versus({0: 1.0, 1: 1.1}, {0: 1.0, 1: -1.0}).relative is None


def test_a_negative_baseline_turns_no_sign() -> None:
    """-2 against -4 is more by half of the baseline's size."""
    found = versus({0: -2.0, 1: -2.1, 2: -1.9}, {0: -4.0, 1: -4.1, 2: -3.9})
    assert found.relative is not None and found.relative.mean == pytest.approx(0.5)
    assert found.relative.low < 0.5 < found.relative.high


@pytest.mark.parametrize("test", ["paired", "welch"])
def test_the_relative_interval_covers_the_truth_as_often_as_it_says(test) -> None:
    """2,000 experiments of 4 seeds, in which a is truly 10 % below b: 95 % of the intervals hold -0.1."""
    rng, hits = np.random.default_rng(1), 0
    for _ in range(2000):
        shared = rng.normal(0, 0.2, 4) if test == "paired" else np.zeros(4)
        a = dict(enumerate(1.8 + shared + rng.normal(0, 0.1, 4)))
        b = dict(enumerate(2.0 + shared + rng.normal(0, 0.2, 4)))
        relative = versus(a, b, test).relative
        hits += relative.low <= -0.1 <= relative.high
    assert hits / 2000 == pytest.approx(0.95, abs=0.02)
