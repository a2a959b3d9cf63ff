"""Profiles of exponents: against theory where it is exact, and against the bootstrap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.gpu_jobs.kinds.fits import loss, points, result, spec_of


def doubted(told: dict[str, Any]) -> str:
    return " ".join(each["message"] for each in told["warnings"] if each["code"] == "not_identified")


def nearly_constant(noise: float = 0.002) -> dict[str, list[float]]:
    """D varies by 30 %, which its exponent needs much more of."""
    table = points(40)
    table["D"] = (2e10 * (1 + 0.3 * np.random.RandomState(1).uniform(size=40))).tolist()
    exact = loss(np.array(table["N"]), np.array(table["D"]))
    table["loss"] = (exact * np.exp(noise * np.random.RandomState(2).standard_normal(40))).tolist()
    return table


def test_the_profile_of_a_line_is_the_interval_of_regression(tmp_path: Path) -> None:
    """Least squares on a line: slope and level +- t x standard error, exactly."""
    x = np.linspace(0, 5, 20)
    y = 3 + 0.7 * x + 0.2 * np.random.RandomState(0).standard_normal(20)
    law = {
        "name": "expression",
        "expression": "level + slope * x",
        "unknowns": [{"name": "level", "starts": [0, 1]}, {"name": "slope", "starts": [0, 1]}],
    }
    asked = spec_of({"x": x.tolist(), "loss": y.tolist()}, law=law, objective={"name": "least_squares"})
    told = result(asked, tmp_path)
    known, t = stats.linregress(x, y), stats.t.ppf(0.975, 18)
    slope, level = told["profiles"]["slope"], told["profiles"]["level"]
    expected = known.slope - t * known.stderr, known.slope + t * known.stderr
    assert (slope["low"], slope["high"]) == pytest.approx(expected, rel=1e-4)
    expected = known.intercept - t * known.intercept_stderr, known.intercept + t * known.intercept_stderr
    assert (level["low"], level["high"]) == pytest.approx(expected, rel=1e-4)
    assert not slope["flat"]


@pytest.mark.parametrize("name", ["huber_log", "least_squares_log"])
def test_profile_and_bootstrap_agree_where_both_variables_vary(name: str, tmp_path: Path) -> None:
    """Ends within a quarter of the width: the profile is an approximation, and 300 draws are rough at the ends."""
    told = result(spec_of(points(80), objective={"name": name}, bootstrap={"resamples": 300}), tmp_path)
    for exponent in ("alpha", "beta"):
        drawn, profile = told["intervals"][exponent], told["profiles"][exponent]
        width = drawn["high"] - drawn["low"]
        assert profile["low"] == pytest.approx(drawn["low"], abs=width / 4)
        assert profile["high"] == pytest.approx(drawn["high"], abs=width / 4)
        assert min(profile["statistic"]) == 0.0
    assert doubted(told) == ""


def test_a_profile_is_flat_where_a_variable_is_constant(tmp_path: Path) -> None:
    told = result(spec_of(points(40, D=2e10)), tmp_path)
    beta, alpha = told["profiles"]["beta"], told["profiles"]["alpha"]
    assert beta["flat"]
    assert beta["high"] is None
    assert not alpha["flat"]
    assert "beta is not identified" in doubted(told)


def test_a_profile_is_wide_where_a_variable_hardly_varies(tmp_path: Path) -> None:
    """The draws find one valley of many and are sure of it; the profile says that nearly any exponent would do."""
    told = result(spec_of(nearly_constant()), tmp_path)
    profile, drawn = told["profiles"]["beta"], told["intervals"]["beta"]
    open_or_wide = profile["flat"] or profile["high"] - profile["low"] > 4 * (drawn["high"] - drawn["low"])
    assert open_or_wide
    assert "beta is not identified" in doubted(told)


def test_the_profile_of_optima_is_not_told(tmp_path: Path) -> None:
    budgets = np.repeat(np.geomspace(1e18, 1e20, 4), 7)
    sizes = 0.1 * (budgets / 6) ** 0.5 * np.tile(np.geomspace(0.3, 3, 7), 4)
    table = {"N": sizes.tolist(), "C": budgets.tolist(), "loss": loss(sizes, budgets / (6 * sizes)).tolist()}
    assert result(spec_of(table, law={"name": "isoflop"}), tmp_path)["profiles"] is None


def test_a_level_that_has_gone_to_zero_is_not_told_as_known(tmp_path: Path) -> None:
    """Points of a law without an irreducible loss: E ends at 1e-13 or so, with a narrow interval that means nothing."""
    table = points(40)
    exact = 400 / np.array(table["N"]) ** 0.3 + 400 / np.array(table["D"]) ** 0.28
    table["loss"] = (exact * np.exp(0.002 * np.random.RandomState(2).standard_normal(40))).tolist()
    told = result(spec_of(table), tmp_path)
    assert told["parameters"]["E"] < 1e-3 * min(table["loss"])
    assert not told["intervals"]["E"]["identified"]
    assert "E is not identified" in doubted(told)
