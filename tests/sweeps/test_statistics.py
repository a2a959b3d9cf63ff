"""Intervals, differences and elimination against scipy's own tests, against simulation and against what must hold."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from scipy import stats

from webapp.sweeps.statistics import contenders, difference, interval, seeds_needed

A = [2.1, 2.4, 1.9, 2.2, 2.6]
B = [2.9, 2.2, 3.1]


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_interval_is_students(confidence):
    found = interval(A, confidence)
    low, high = stats.t.interval(confidence, len(A) - 1, loc=np.mean(A), scale=stats.sem(A))
    assert (found.mean, found.n) == (pytest.approx(np.mean(A)), 5)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_one_seed_has_no_interval_and_none_is_an_error():
    assert interval([3.0]) == (3.0, None, None, 1)
    with pytest.raises(ValueError, match="at least one"):
        interval([])


def test_a_value_that_is_not_finite_leaves_no_bounds():
    assert interval([1.0, math.inf]) == (math.inf, None, None, 2)
    assert difference([1.0, math.inf], A).p_value is None
    assert seeds_needed([1.0, math.nan], A) is None


def test_seeds_that_agree_have_an_interval_of_no_width():
    assert interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5, 3)


@pytest.mark.parametrize(("a", "b"), [(A, B), (B, A), ([1.0, 2.0], [5.0, 5.1]), (A, [7.0, 7.5])])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_difference_is_welchs(a, b, confidence):
    found, reference = difference(a, b, confidence), stats.ttest_ind(a, b, equal_var=False)
    bounds = reference.confidence_interval(confidence)
    assert found.mean == pytest.approx(np.mean(a) - np.mean(b))
    assert found.p_value == pytest.approx(reference.pvalue)
    assert (found.low, found.high) == (pytest.approx(bounds.low), pytest.approx(bounds.high))


def test_seeds_without_spread_leave_no_doubt():
    assert difference([1.0, 1.0], [2.0, 2.0], 0.95) == (-1.0, -1.0, -1.0, 0.0)
    assert difference([1.0, 1.0], [1.0, 1.0], 0.95) == (0.0, 0.0, 0.0, 1.0)
    assert difference([1.0], [2.0, 3.0], 0.95) == (-1.5, None, None, None)


def test_seeds_needed_are_none_where_nothing_can_be_estimated():
    assert seeds_needed([1.0], [2.0, 3.0]) is None
    assert seeds_needed([1.0, 3.0], [2.0, 2.0]) is None  # no difference is seen
    assert seeds_needed([0.0, 1.0], [1e-5, 1.0]) is None  # tens of millions


def test_seeds_needed_are_zero_once_told_apart():
    assert difference(A, [9.0, 9.2, 9.1]).p_value < 0.05
    assert seeds_needed(A, [9.0, 9.2, 9.1]) == 0


def scaled(mean: float, sd: float, n: int) -> list[float]:
    """n numbers of exactly this mean and standard deviation."""
    values = np.arange(n, dtype=float)
    return list(mean + sd * (values - values.mean()) / values.std(ddof=1))


def rejected(rng, gap, sds, n, confidence, times=4000) -> float:
    """Share of simulated experiments of n seeds each in which scipy's Welch test sees the difference."""
    a, b = rng.normal(0, sds[0], (times, n)), rng.normal(gap, sds[1], (times, n))
    return float(np.mean(stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue < 1 - confidence))


@pytest.mark.parametrize(
    ("gap", "sds", "confidence", "power"),
    [(1.0, (1.0, 1.0), 0.95, 0.8), (0.7, (1.0, 0.2), 0.95, 0.9), (1.5, (0.5, 1.5), 0.9, 0.8)],
)
def test_with_the_seeds_needed_the_power_is_reached_and_with_fewer_it_is_not(gap, sds, confidence, power):
    has = 3
    more = seeds_needed(scaled(0, sds[0], has), scaled(gap, sds[1], has), confidence=confidence, power=power)
    assert more is not None and more > 2
    rng, slack = np.random.default_rng(1), 3 * math.sqrt(power * (1 - power) / 4000)
    simulated = partial(rejected, rng, gap, sds, confidence=confidence)
    assert simulated(n=has + more) > power - slack - 0.01  # Welch's test is itself an approximation
    assert simulated(n=has + more - 2) < power + slack


def test_more_power_and_more_confidence_need_more_seeds():
    a, b = scaled(0, 1, 4), scaled(0.5, 1, 4)
    usual = seeds_needed(a, b)
    assert usual is not None
    assert seeds_needed(a, b, power=0.95) > usual
    assert seeds_needed(a, b, confidence=0.99) > usual


def test_seeds_needed_are_the_same_whichever_comes_first():
    assert seeds_needed(A, B, power=0.99) == seeds_needed(B, A, power=0.99)


def test_with_one_seed_each_nobody_is_dropped():
    assert contenders({1: [0.1], 2: [5.0], 3: [1e9]}, 0.95) == {1, 2, 3}
    assert contenders({}, 0.95) == set()


def test_the_best_mean_is_always_a_contender_and_the_clearly_bad_are_not():
    samples = {1: [1.0, 1.1, 0.9, 1.0], 2: [1.1, 1.0, 1.0, 1.2], 3: [9.0, 9.1, 8.9, 9.0]}
    assert contenders(samples, 0.95) == {1, 2}


def test_a_trial_that_has_diverged_is_worse_than_one_that_has_not():
    assert contenders({1: [1.0, 1.2], 2: [math.nan, 0.1], 3: [math.inf]}, 0.95) == {1}
    assert contenders({2: [math.nan], 3: [math.inf]}, 0.95) == {2, 3}


def test_one_that_was_dropped_stays_so_while_the_others_go_on():
    samples = {1: [1.0, 1.01, 0.99], 2: [5.0, 5.02, 4.99]}
    assert contenders(samples, 0.95) == {1}
    for value in (3.0, 9.0, 30.0):  # what the best does later says nothing of the seeds that both have
        samples[1] = [*samples[1], value]
        assert contenders(samples, 0.95) == {1}


def test_trials_that_agree_exactly_all_stay():
    assert contenders({1: [0.5, 0.5], 2: [0.5, 0.5], 3: [0.6, 0.6]}, 0.95) == {1, 2}


def race(rng, means, sds, seeds, confidence) -> tuple[bool, int]:
    """A whole race. Returns whether the first, truly best trial was ever dropped, and how many seeds were run."""
    runs = rng.normal(means, sds, (seeds, len(means))).T
    left, ran = set(range(len(means))), dict.fromkeys(range(len(means)), 1)
    for n in range(2, seeds + 1):
        ran |= dict.fromkeys(left, n)
        left &= contenders({trial: list(runs[trial, : ran[trial]]) for trial in ran}, confidence)
        if 0 not in left:
            return False, sum(ran.values())
    return True, sum(ran.values())


@pytest.mark.parametrize("confidence", [0.6, 0.9])
@pytest.mark.parametrize("spread", [1.0, 3.0], ids=["equal spreads", "the best varies most"])
@pytest.mark.parametrize(("trials", "seeds"), [(4, 10), (16, 8)], ids=["many looks", "many others"])
def test_the_best_outlives_a_race_as_often_as_stated(trials, seeds, spread, confidence):
    rng, times, others = np.random.default_rng(2), 150, trials - 1
    means, sds = [0.0] + [0.01] * others, [spread] + [1.0] * others
    kept = sum(race(rng, means, sds, seeds, confidence)[0] for _ in range(times))
    assert stats.binomtest(kept, times, confidence, alternative="less").pvalue > 0.001


def test_a_race_drops_what_is_clearly_bad_and_spares_its_seeds():
    rng = np.random.default_rng(3)
    races = [race(rng, [0.0, 0.1, 20.0, 30.0, 40.0], [1.0] * 5, 8, 0.95) for _ in range(30)]
    assert sum(kept for kept, _ in races) >= 28
    assert np.mean([ran for _, ran in races]) < 0.75 * 5 * 8  # two go to the end, three are dropped halfway
