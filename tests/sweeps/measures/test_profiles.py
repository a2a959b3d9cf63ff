"""Performance profiles: the integral in closed form, and the ends of the scale."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sweeps.protocols.study import START
from webapp.metrics.points import Points
from webapp.sweeps.measures import profiles

RATIOS = st.lists(st.one_of(st.floats(1, 10), st.just(math.inf)), min_size=1, max_size=12)


@given(ratios=RATIOS, max_ratio=st.floats(1.5, 8))
def test_the_score_is_the_integral_of_the_profile(ratios: list[float], max_ratio: float) -> None:
    """rho is a step function: summed between its steps, nothing is approximated."""
    edges = sorted({1.0, max_ratio, *(r for r in ratios if 1 < r < max_ratio)})
    levels = profiles.profile(ratios, edges[:-1])
    integral = sum(level * (right - left) for level, left, right in zip(levels, edges, edges[1:], strict=False))
    assert profiles.benchmark_score(ratios, max_ratio) == pytest.approx(integral / (max_ratio - 1), abs=1e-9)


@given(ratios=RATIOS, max_ratio=st.floats(1.5, 8))
def test_the_score_is_the_mean_of_what_each_problem_leaves(ratios: list[float], max_ratio: float) -> None:
    left = [0.0 if math.isinf(r) else min(1.0, max(0.0, (max_ratio - r) / (max_ratio - 1))) for r in ratios]
    assert profiles.benchmark_score(ratios, max_ratio) == pytest.approx(fmean(left))


def test_missing_everything_is_nothing_and_winning_alone_is_one() -> None:
    times = {"sole": {"a": 3.0, "b": 5.0}, "lost": {"a": math.inf, "b": math.inf}}
    ratios = profiles.ratios(times)
    assert profiles.benchmark_score(list(ratios["sole"].values()), 4) == 1
    assert profiles.benchmark_score(list(ratios["lost"].values()), 4) == 0


def test_a_problem_that_everybody_missed_is_missed_by_all() -> None:
    ratios = profiles.ratios({"one": {"a": math.inf}, "other": {"a": math.inf}})
    assert ratios == {"one": {"a": math.inf}, "other": {"a": math.inf}}


@given(times=st.lists(st.one_of(st.floats(0, 100), st.just(math.inf)), min_size=1, max_size=9))
def test_a_median_with_infinities_is_the_middle_of_the_order(times: list[float]) -> None:
    if len(times) % 2:
        assert profiles.median(times) == sorted(times)[len(times) // 2]
    elif sum(map(math.isinf, times)) >= len(times) / 2:
        assert math.isinf(profiles.median(times))
    else:
        assert profiles.median(times) == pytest.approx(float(np.median(times)))


def test_the_time_to_a_target_is_when_it_is_first_met() -> None:
    points = Points.of([10, 20, 30], [3.0, 2.0, 1.0], [START.timestamp() + s for s in (1, 2, 3)])
    assert profiles.time_to(points, 2.0, 1.0, "steps", None) == 20
    assert profiles.time_to(points, 2.0, 1.0, "seconds", START.timestamp()) == 2
    assert profiles.time_to(points, 2.5, -1.0, "steps", None) == 10  # where more is better
    assert math.isinf(profiles.time_to(points, 0.5, 1.0, "steps", None))
    assert math.isinf(profiles.time_to(Points.empty(), 0.5, 1.0, "steps", None))
