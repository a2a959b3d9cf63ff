"""Every law is fitted by the one fitter: its derivatives are exact and known coefficients come back."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_jobs import registry
from gpu_jobs.engine.laws import doubts
from gpu_jobs.engine.laws.minima import minima
from gpu_jobs.errors import DataError
from gpu_jobs.smooth import plain
from tests.gpu_jobs.methods.laws.known import KNOWN, SMOOTH


def test_every_law_is_tried() -> None:
    assert {known.law["name"] for known in KNOWN.values()} == set(registry.methods("laws"))


@pytest.mark.parametrize("name", KNOWN)
def test_known_coefficients_come_back(name: str) -> None:
    """From the law's own grid of starts, and without noise: every parameter to 1 %."""
    known = KNOWN[name]
    problem = known.problem(objective=SMOOTH)
    found = dict(zip(problem.names, problem.natural(minima(problem).vectors[:1])[0], strict=True))
    for parameter, value in found.items():
        assert value == pytest.approx(known.params[parameter], rel=0.01), parameter


@pytest.mark.parametrize("name", KNOWN)
def test_derivatives_are_those_of_finite_differences(name: str) -> None:
    known = KNOWN[name]
    problem = known.problem(noise=0.01)
    at = problem.fitted(known.params) + 0.003
    residuals, partials = problem.jacobian(at[None])
    assert residuals == pytest.approx(problem.residuals(at[None]), rel=1e-9, abs=1e-12)
    for index in range(len(at)):
        step = np.eye(len(at))[index] * 1e-6
        ahead, behind = problem.residuals(np.stack([at + step, at - step]))
        expected = (ahead - behind) / 2e-6
        exact = np.broadcast_to(plain(partials.get(index, 0.0)), (1, problem.points))[0]
        assert exact == pytest.approx(expected, rel=1e-4, abs=1e-6 * (1 + np.abs(expected).max())), problem.names[index]


@pytest.mark.parametrize("name", KNOWN)
def test_many_vectors_at_once_are_as_one_by_one(name: str) -> None:
    problem = KNOWN[name].problem(noise=0.01)
    vectors = problem.fitted(KNOWN[name].params) + 0.01 * np.arange(3)[:, None]
    together = problem.slope(vectors)
    for index, vector in enumerate(vectors):
        value, gradient = problem.slope(vector[None])
        assert together[0][index] == pytest.approx(value[0], rel=1e-12)
        assert together[1][index] == pytest.approx(gradient[0], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", KNOWN)
def test_fewer_points_than_parameters_and_two_are_refused(name: str) -> None:
    free = len(KNOWN[name].problem().names)
    assert doubts.check_number(free + 2, free, "refuse") == []
    with pytest.raises(DataError, match="too few points"):
        doubts.check_number(free + 1, free, "refuse")


@pytest.mark.parametrize("name", [name for name in KNOWN if name.startswith(("chinchilla", "overtraining"))][:3])
def test_the_optimum_of_a_budget_is_the_least_loss(name: str) -> None:
    """Against a search over sizes: nothing near it on the same budget is better."""
    known = KNOWN[name]
    knobs, module = known.problem().knobs, registry.methods("laws")[known.law["name"]].module
    budget = 1e22
    size, tokens = module.optimum(knobs, known.params, budget)
    assert 6 * size * tokens == pytest.approx(budget)
    around = size * np.geomspace(0.5, 2, 401)
    losses = module.predict(knobs, known.params, {"N": around, "D": budget / (6 * around)})
    assert around[losses.argmin()] == pytest.approx(size, rel=0.005)


def test_a_fixed_parameter_stays_and_the_others_are_fitted() -> None:
    known = KNOWN["chinchilla"]
    fixed = type(known)({**known.law, "fixed": {"E": 1.8, "alpha": 0.35}}, known.params, known.variables)
    problem = fixed.problem(objective=SMOOTH)
    assert problem.names == ["A", "B", "beta"]
    assert problem.natural(minima(problem).vectors)[0] == pytest.approx([480, 2100, 0.37], rel=1e-4)


@pytest.mark.parametrize(("fixed", "said"), [({"Z": 1.0}, "no parameter 'Z'"), ({"A": -1.0}, "must be positive")])
def test_what_cannot_be_fixed_is_refused(fixed: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        registry.methods("laws")["chinchilla"].knobs(name="chinchilla", fixed=fixed)
