"""Curves of pruning whose knee and whose crossing are known come back; so does the coverage that is promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.sweeps.measures import sparsity
from webapp.sweeps.measures.sparsity import Curve

GRID = np.linspace(0, 1, 101)


def curve(*seeds: list[float] | np.ndarray, x: np.ndarray = GRID) -> Curve:
    return Curve(np.asarray(x, float), np.array(seeds, float))


@pytest.mark.parametrize("power", [2.0, 3.0, 4.0])
def test_the_knee_of_a_power_is_where_its_slope_is_the_chords(power: float) -> None:
    """d/dx (x - x^p) = 0 at p^(-1 / (p - 1))."""
    found = sparsity.knee(curve(0.3 * GRID**power), 0.95)
    assert found.value == pytest.approx(power ** (-1 / (power - 1)), abs=0.011)
    assert found.low is None


def test_the_knee_of_two_lines_is_where_they_meet() -> None:
    assert sparsity.knee(curve(np.maximum(0, GRID - 0.6)), 0.95).value == pytest.approx(0.6)


@pytest.mark.parametrize("y", [GRID, -GRID, 0 * GRID, np.sqrt(GRID)], ids=["line", "better", "flat", "concave"])
def test_a_curve_without_a_bend_has_no_knee(y: np.ndarray) -> None:
    assert math.isnan(sparsity.knee(curve(y), 0.95).value)


@given(st.floats(0.01, 100), st.floats(-5, 5), st.floats(0.1, 10))
@settings(max_examples=50, deadline=None)
def test_the_knee_does_not_depend_on_units(scale: float, shift: float, width: float) -> None:
    found = sparsity.knee(curve(scale * GRID**3 + shift, x=width * GRID), 0.95).value
    assert found == pytest.approx(width * sparsity.knee(curve(GRID**3), 0.95).value)


def test_the_limit_is_interpolated_between_two_points() -> None:
    """From .005 at .4 to .025 at .6 a line reaches .01 at .45."""
    found = sparsity.limit(curve([0, 0.005, 0.025], x=np.array([0, 0.4, 0.6])), 0.01, 0.95)
    assert found == (pytest.approx(0.45), None, None)


def test_it_is_the_first_crossing_that_counts() -> None:
    assert sparsity.limit(curve([0, 0.02, 0, 0.02], x=np.array([0, 0.2, 0.4, 0.6])), 0.01, 0.95).value == pytest.approx(
        0.1
    )


def test_nothing_is_extrapolated() -> None:
    x = np.array([0.1, 0.5, 0.9])
    assert sparsity.limit(curve([0.02, 0.03, 0.04], x=x), 0.01, 0.95).value == -math.inf
    assert sparsity.limit(curve([-0.1, 0.0, 0.01], x=x), 0.01, 0.95).value == math.inf


@given(st.lists(st.floats(0, 0.1), min_size=3, max_size=9), st.floats(0.001, 0.1), st.floats(0.001, 0.1))
@settings(max_examples=100, deadline=None)
def test_more_tolerance_never_prunes_less(y: list[float], one: float, other: float) -> None:
    told = curve(y, x=np.linspace(0, 0.8, len(y)))
    low, high = sorted((one, other))
    assert sparsity.limit(told, low, 0.95).value <= sparsity.limit(told, high, 0.95).value + 1e-12


@given(st.lists(st.floats(0, 0.1), min_size=3, max_size=9), st.floats(0, 0.05))
@settings(max_examples=100, deadline=None)
def test_a_curve_that_is_worse_everywhere_is_never_pruned_further(y: list[float], more: float) -> None:
    x = np.linspace(0, 0.8, len(y))
    worse = sparsity.limit(curve(np.array(y) + more, x=x), 0.02, 0.95).value
    assert worse <= sparsity.limit(curve(y, x=x), 0.02, 0.95).value + 1e-12


def test_seeds_that_agree_leave_no_doubt_and_a_seed_brings_its_whole_curve() -> None:
    same = sparsity.limit(curve(0.1 * GRID, 0.1 * GRID, 0.1 * GRID), 0.01, 0.95)
    assert same == (pytest.approx(0.1),) * 3
    apart = sparsity.limit(curve(0.1 * GRID, 0.05 * GRID), 0.01, 0.9)
    assert apart == (pytest.approx(0.01 / 0.075), pytest.approx(0.1), pytest.approx(0.2))


def test_an_interval_may_be_open() -> None:
    found = sparsity.limit(curve(0.1 * GRID, 0.002 * GRID), 0.01, 0.9)
    assert (found.low, found.high) == (pytest.approx(0.1), math.inf)


def test_a_value_that_is_missing_is_no_value_of_zero() -> None:
    """The mean is over the seeds that are there; in a draw without any the line goes on."""
    told = curve([0, 0.01, 0.03], [0, math.nan, 0.03], x=np.array([0, 0.4, 0.8]))
    assert sparsity.means(told.worse)[0].tolist() == [0, 0.01, pytest.approx(0.03)]
    assert sparsity.limit(told, 0.02, 0.9)[:2] == (pytest.approx(0.6), pytest.approx(0.8 * 2 / 3))


def test_points_stand_where_the_sparsity_was_measured() -> None:
    told = sparsity.curve({0.5: {1: (0.52, 0.2), 0: (0.48, 0.1)}, 0.1: {0: (0.1, 0.0)}})
    assert told.x.tolist() == [0.1, 0.5]
    assert np.array_equal(told.worse, [[0.0, 0.1], [math.nan, 0.2]], equal_nan=True)
    assert sparsity.at(told, 0.3) == pytest.approx(0.075)
    assert sparsity.at(told, 0.6) is None


def test_all_draws_of_few_seeds_are_looked_at() -> None:
    assert sparsity.draws(3).shape == (27, 3) and sparsity.draws(1).tolist() == [[1]]
    assert (sparsity.draws(8).sum(axis=1) == 8).all() and len(sparsity.draws(8)) == sparsity.DRAWS


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Slopes that vary by seed: the mean curve .05 x crosses .01 at .2. With ten seeds a 90 % percentile interval is
    somewhat narrow, so at least 80 % of 300 studies (binomial error 2 %) and no more than 96 %."""
    rng, x = np.random.default_rng(3), np.linspace(0, 0.8, 9)
    hits = 0
    for _ in range(300):
        slopes = rng.normal(0.05, 0.01, size=(10, 1))
        found = sparsity.limit(Curve(x, slopes * x), 0.01, 0.9)
        assert found.low is not None and found.high is not None
        hits += found.low <= 0.2 <= found.high
    assert 0.8 <= hits / 300 <= 0.96
