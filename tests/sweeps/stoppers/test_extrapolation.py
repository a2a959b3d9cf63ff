"""The curve model's bands hold as often as they say, for families of curves that it has and that it has not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from tests.sweeps.stoppers.curves import FAMILIES, LAST, simulated
from webapp.sweeps import extrapolation

SWEEPS = 120


def covered(family: str, siblings: int, come: int, *, seed: int, points: int = 30) -> list[bool]:
    """Whether the 90 % band of a trial that has come to `come` of `points` held its final value, sweep by sweep."""
    held = []
    for number in range(SWEEPS):
        steps, values = simulated(family, siblings + 1, points, seed * SWEEPS + number)
        told = extrapolation.forecast(steps, values[:1, :come], values[1:])
        held.append(bool(told.quantile(0.05)[0] <= values[0, -1] <= told.quantile(0.95)[0]))
    return held


@pytest.mark.parametrize("come", [5, 12, 20])
@pytest.mark.parametrize("family", FAMILIES)
def test_with_siblings_the_band_holds_nine_times_of_ten(family: str, come: int) -> None:
    """Independent sweeps, so the number of hits is binomial; 99.9 % of such counts lie within the bounds."""
    hits = sum(covered(family, 30, come, seed=1))
    assert binom.ppf(0.0005, SWEEPS, 0.87) <= hits <= binom.ppf(0.9995, SWEEPS, 0.93)


@pytest.mark.parametrize("family", ["power", "stretched"])
def test_without_siblings_the_band_errs_on_the_wide_side(family: str) -> None:
    assert sum(covered(family, 0, 12, seed=2)) >= binom.ppf(0.0005, SWEEPS, 0.9)


def width(siblings: int, come: int) -> float:
    steps, values = simulated("power", 41, 30, 5)
    told = extrapolation.forecast(steps, values[:1, :come], values[1 : siblings + 1])
    return float(told.quantile(0.95)[0] - told.quantile(0.05)[0])


def test_siblings_and_a_longer_series_narrow_the_band() -> None:
    assert width(0, 10) > width(5, 10) > width(40, 10)
    assert width(40, 5) > width(40, 25)


def test_a_curve_of_a_shape_it_has_is_continued_exactly_when_there_is_no_noise() -> None:
    """y = 1 + 2 exp(-4 t / T), which is among the shapes; its value at T is 1 + 2 / e^4."""
    steps = np.arange(1, 41) * (LAST // 40)
    values = 1 + 2 * np.exp(-4.0 * steps / LAST)
    told = extrapolation.forecast(steps, values[None, :20], np.empty((0, 40)))
    assert told.location[0] == pytest.approx(1 + 2 * np.exp(-4.0), abs=1e-6)
    assert told.scale[0] < 1e-4


def test_siblings_teach_it_a_shape_that_it_has_not() -> None:
    """All drop by 1 in the last tenth, which nothing before foretells."""
    random = np.random.default_rng(0)
    steps = np.arange(1, 31)
    level = random.uniform(1, 3, (21, 1))
    values = level + 1 / steps - (steps > 27) + random.normal(0, 0.01, (21, 30))
    told = extrapolation.forecast(steps, values[:1, :15], values[1:])
    assert told.quantile(0.05)[0] <= values[0, -1] <= told.quantile(0.95)[0]
    assert told.location[0] == pytest.approx(level[0, 0] + 1 / 30 - 1, abs=0.05)


@pytest.mark.parametrize(("factor", "offset"), [(1e-4, 0.0), (1e4, -7.0)])
def test_a_forecast_scales_with_the_units(factor: float, offset: float) -> None:
    steps, values = simulated("power", 11, 30, 3)
    one = extrapolation.forecast(steps, values[:3, :12], values[3:])
    other = extrapolation.forecast(steps, factor * values[:3, :12] + offset, factor * values[3:] + offset)
    assert other.location == pytest.approx(factor * one.location + offset, rel=1e-6)
    assert other.scale == pytest.approx(factor * one.scale, rel=1e-4)


def test_a_curve_that_begins_late_is_continued_as_well() -> None:
    """As a fork's does: its first step is 900 of 1000, where fast exponentials have long died away."""
    steps = np.arange(900, 1001, 5)
    told = extrapolation.forecast(steps, (2 - 0.001 * (steps - 900))[None, :12], np.empty((0, len(steps))))
    assert told.location[0] == pytest.approx(1.9, abs=0.002)


def test_flat_curves_stay_flat() -> None:
    told = extrapolation.forecast(np.arange(1, 21), np.full((2, 8), 3.0), np.full((4, 20), 3.0))
    assert told.location == pytest.approx([3.0, 3.0]) and np.isfinite(told.scale).all()


def test_one_sibling_that_blows_up_does_not_make_the_others_unknowable() -> None:
    steps, values = simulated("power", 31, 30, 4)
    broken = values.copy()
    broken[7, -1] = 1e6
    one = extrapolation.forecast(steps, values[:1, :12], values[1:])
    other = extrapolation.forecast(steps, broken[:1, :12], broken[1:])
    assert other.scale[0] < 5 * one.scale[0]


def test_samples_have_the_distribution_that_quantiles_tell() -> None:
    told = extrapolation.Forecast(np.array([2.0, -1.0]), np.array([0.5, 3.0]), 6.0)
    drawn = told.samples(20_000, seed=1)
    for probability in (0.05, 0.5, 0.95):
        share = (drawn <= told.quantile(probability)).mean(0)
        assert share == pytest.approx([probability] * 2, abs=4 * np.sqrt(0.25 / 20_000))
    assert np.array_equal(drawn, told.samples(20_000, seed=1))
