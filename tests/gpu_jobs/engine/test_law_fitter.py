"""The fitter against scipy from many starts, on laws of any size, scale and unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import optimize

from gpu_jobs import registry
from gpu_jobs.engine.laws.minima import minima
from gpu_jobs.engine.laws.objectives import loss_of
from gpu_jobs.engine.laws.problem import Problem
from gpu_jobs.points import HuberLog
from tests.gpu_jobs.kinds.fits import points


def problem_of(N: Any, D: Any, loss: Any) -> Problem:
    knobs = registry.methods("laws")["chinchilla"].knobs(name="chinchilla")
    return Problem(knobs, {"N": np.asarray(N), "D": np.asarray(D)}, np.asarray(loss), loss_of(HuberLog()))


def best_of_scipy(problem: Problem, truth: Any, random: np.random.RandomState, starts: int = 6) -> float:
    """The least scaled objective of BFGS and L-BFGS-B, with exact gradients, from around what made the points."""

    def value(vector: Any) -> Any:
        values, gradients = problem.slope(vector[None])
        return float(values[0]), gradients[0]

    found = []
    for index in range(starts):
        at = truth + (index > 0) * random.standard_normal(5) * np.array([0.3, 1.5, 1.5, 0.15, 0.15])
        at = optimize.minimize(value, at, jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 2000}).x
        ended = optimize.minimize(value, at, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10})
        found.append(float(ended.fun))
    return min(found)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    exponents=st.tuples(st.floats(0.1, 0.8), st.floats(0.1, 0.8)),
    shares=st.tuples(st.floats(0.3, 4), st.floats(0.05, 3), st.floats(0.05, 3)),
    noise=st.floats(-4, -1.3),
    scale=st.floats(-6, 6),
    unit=st.sampled_from([1.0, 1e3, 1e-6, 1e-9]),
    count=st.sampled_from([10, 30, 100]),
    seed=st.integers(0, 10_000),
)
def test_the_objective_is_at_or_below_that_of_scipy(
    exponents: Any, shares: Any, noise: float, scale: float, unit: float, count: int, seed: int
) -> None:
    random, (alpha, beta), height = np.random.RandomState(seed), exponents, 10.0**scale
    N, D = np.exp(random.uniform(14, 23, count)), np.exp(random.uniform(18, 27, count))
    E, A, B = shares[0], shares[1] * 1e8**alpha, shares[2] * 1e10**beta
    exact = height * (E + A * N**-alpha + B * D**-beta)
    problem = problem_of(N * unit, D * unit, exact * np.exp(10**noise * random.standard_normal(count)))
    logs = np.log([E * height, A * height * unit**alpha, B * height * unit**beta])
    found = float(minima(problem).values[0])
    assert found <= best_of_scipy(problem, np.array([*logs, alpha, beta]), random) * (1 + 1e-6)


@pytest.mark.parametrize("unit", [1e-6, 1e-9, 1e3])
@pytest.mark.parametrize("height", [1.0, 1e-6, 1e6])
def test_units_change_coefficients_and_no_exponent(unit: float, height: float) -> None:
    """N and D in millions: A is A x 10^(-6 alpha); a loss times 1e6: E, A and B are, too."""
    table = {name: np.array(values) for name, values in points(40).items()}
    plain = problem_of(*table.values())
    other = problem_of(table["N"] * unit, table["D"] * unit, table["loss"] * height)
    one, two = minima(plain), minima(other)
    E, A, B, alpha, beta = plain.natural(one.vectors[:1])[0]
    expected = [E * height, A * height * unit**alpha, B * height * unit**beta, alpha, beta]
    assert other.natural(two.vectors[:1])[0] == pytest.approx(expected, rel=1e-4)
    assert two.values[0] == pytest.approx(one.values[0], rel=1e-7)


def test_ten_thousand_points_are_fitted() -> None:
    table = points(10_000)
    found = problem_of(table["N"], table["D"], table["loss"])
    E, _, _, alpha, beta = found.natural(minima(found, polish=5).vectors[:1])[0]
    assert (E, alpha, beta) == pytest.approx((1.8, 0.35, 0.37), rel=0.01)
