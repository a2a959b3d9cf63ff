"""What holds of single laws: their limits, estimators and inversions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpu_jobs import registry
from gpu_jobs.engine.laws.comparison import Estimate, ranked
from gpu_jobs.engine.laws.minima import minima
from gpu_jobs.engine.laws.problem import Problem
from gpu_jobs.errors import DataError, MethodError
from gpu_jobs.methods.laws import compute_class, densing, envelope, isoflop, kaplan, kinetics_cost, parscale, pass_until
from tests.gpu_jobs.methods.laws.known import CHINCHILLA, KNOWN, SMOOTH


def test_a_trajectory_is_foreseen_at_a_batch_that_was_not_fitted() -> None:
    """Constants from runs of small batches give the loss at a large one, which solves the implicit equation."""
    known = KNOWN["kaplan, size and steps"]
    problem = known.problem(objective=SMOOTH)
    fitted = minima(problem).best
    at = {"N": np.array([5e8]), "S": np.array([2e4]), "B": np.array([5e7])}
    loss = problem.predict(fitted[None], at)[0, 0]
    params = known.params
    smallest = 2e4 / (1 + params["B_star"] / loss ** (1 / params["alpha_B"]) / 5e7)
    both = (params["Nc"] / 5e8) ** params["alpha_N"] + (params["Sc"] / smallest) ** params["alpha_S"]
    assert loss == pytest.approx(both, rel=1e-4)


def test_steps_are_the_fewest_as_the_batch_grows() -> None:
    known = KNOWN["kaplan, size and steps"]
    knobs, params = known.problem().knobs, known.params
    at = {"N": np.array([1e8]), "S": np.array([1e4]), "B": np.array([1e30])}
    limit = (params["Nc"] / 1e8) ** params["alpha_N"] + (params["Sc"] / 1e4) ** params["alpha_S"]
    assert kaplan.predict(knobs, params, at)[0] == pytest.approx(limit, rel=1e-12)


def test_one_stream_is_a_power_law_with_a_floor() -> None:
    params = KNOWN["parscale"].params
    loss = parscale.predict(KNOWN["parscale"].problem().knobs, params, {"N": 1e9, "P": 1.0})
    assert loss == pytest.approx(params["E"] + (params["A"] / 1e9) ** params["alpha"])


def test_the_estimate_of_a_pass_rate_is_unbiased_and_the_plain_share_is_not() -> None:
    """Over the negative binomial distribution of draws until r = 3 passes at p = 0.2: expectations in closed form."""
    p, r = 0.2, 3
    chances = {k: math.comb(k - 1, r - 1) * p**r * (1 - p) ** (k - r) for k in range(r, 600)}
    assert sum(chance * pass_until.passed(r, k, r) for k, chance in chances.items()) == pytest.approx(p)
    assert sum(chance * r / k for k, chance in chances.items()) == pytest.approx(0.263, abs=5e-4)


def test_a_censored_task_counts_as_its_share() -> None:
    assert pass_until.passed(1, 1000, 2) == 0.001
    with pytest.raises(MethodError, match="wanted >= 2"):
        pass_until.passed(1, 10, 1)


def test_pass_rates_are_a_line() -> None:
    known = KNOWN["pass_until"]
    target = known.problem().target
    slope, level = np.polyfit(np.log(known.variables["N"]), np.log(-np.log(target)), 1)
    assert (-slope, math.exp(level)) == pytest.approx((known.params["a"], known.params["c"]))


def test_density_doubles_in_95_days() -> None:
    assert densing.doubling_days(0.0073) == pytest.approx(95, abs=0.1)


def test_effective_size_inverts_loss_and_score() -> None:
    of_loss, of_score = dict(KNOWN["densing, loss"].params), dict(KNOWN["densing, score"].params)
    loss = of_loss["a"] * 7e9 ** -of_loss["alpha"] + of_loss["b"] * densing.TOKENS ** -of_loss["beta"]
    score = of_score["c"] / (1 + math.exp(-of_score["gamma"] * (loss - of_score["l"]))) + of_score["d"]
    assert densing.effective_size(score, of_loss, of_score) == pytest.approx(7e9)
    with pytest.raises(DataError, match="ends of the sigmoid"):
        densing.effective_size(0.95, of_loss, of_score)


def test_costs_without_intensity_are_flops() -> None:
    """Term by term, of one hand-made setting."""
    at = {"T": 4.0, "N": 1e9, "K": 1e4, "r": 8.0, "read": 100.0, "written": 1000.0}
    flops, traffic = kinetics_cost.terms(at)
    assert flops == 2 * 4 * 1e9 * 1000 + 2 * 8 * 4 * 100 * 1e4 * 1000 + 8 * 4 * 1e4 * 1000**2
    assert traffic == 2 * 100 * 1e4 * 1000 + 4 * 1e4 * 1000**2
    knobs = KNOWN["kinetics_cost"].problem().knobs
    assert kinetics_cost.predict(knobs, {"I": 0.0}, at) == flops
    assert kinetics_cost.predict(knobs, {"I": 2.0}, at) == flops + 2 * traffic


def test_trends_cross_where_they_are_equal() -> None:
    one, other = {"c": 3.0, "a": 0.05}, {"c": 4.0, "a": 0.08}
    hours = compute_class.crossing(one, other)
    assert hours is not None
    assert 3 * hours**-0.05 == pytest.approx(4 * hours**-0.08)
    assert compute_class.tokens(1000, 2) == 7_200_000


def test_parabolas_find_the_optimum_of_the_law_that_made_the_losses() -> None:
    """Approach 2 on losses that approach 3 made: exponents agree (the parabola is an approximation, hence 0.02)."""
    chinchilla = registry.methods("laws")["chinchilla"]
    knobs = chinchilla.knobs(name="chinchilla")
    budgets = np.repeat(np.geomspace(1e18, 1e22, 5), 9)
    centre, _ = chinchilla.module.optimum(knobs, CHINCHILLA, budgets)
    size = centre * np.tile(np.geomspace(0.4, 2.5, 9), 5)
    loss = chinchilla.module.predict(knobs, CHINCHILLA, {"N": size, "D": budgets / (6 * size)})
    mine = isoflop.Knobs(name="isoflop")
    found = isoflop.reduce(mine, {"N": size, "C": budgets, "loss": loss})
    assert len(found["C"]) == 5
    problem = Problem(mine, {"C": found["C"]}, found["N_opt"], KNOWN["power"].problem(objective=SMOOTH).loss)
    _, exponent = problem.natural(minima(problem).vectors)[0]
    assert exponent == pytest.approx(CHINCHILLA["beta"] / (CHINCHILLA["alpha"] + CHINCHILLA["beta"]), abs=0.02)


def test_a_budget_without_an_optimum_between_its_sizes_is_left_out() -> None:
    size = np.array([1e6, 2e6, 4e6])
    with pytest.raises(DataError, match="no budget has 3 sizes"):
        isoflop.reduce(isoflop.Knobs(name="isoflop"), {"N": size, "C": np.full(3, 1e18), "loss": 1 / size})


def test_the_envelope_follows_the_lowest_curve() -> None:
    """Two runs whose curves cross at C = 1e17: small below, large above."""
    compute = np.geomspace(1e16, 1e18, 21)
    small, large = 3.0 - 0.1 * np.log(compute / 1e17), 3.0 - 0.2 * np.log(compute / 1e17)
    columns = {
        "N": np.repeat([1e6, 1e7], 21),
        "C": np.concatenate([compute, compute]),
        "loss": np.concatenate([small, large]),
    }
    found = envelope.reduce(envelope.Knobs(name="envelope", levels=20), columns)
    assert (found["N_opt"] == np.where(found["C"] < 1e17, 1e6, 1e7)).all()


def test_recipes_are_ranked_only_where_their_intervals_are_apart() -> None:
    apart = {"b": Estimate(3.3, 3.25, 3.35), "a": Estimate(3.1, 3.0, 3.2)}
    assert ranked(apart) == ["a", "b"]
    with pytest.raises(DataError, match="overlap"):
        ranked(apart | {"b": Estimate(3.3, 3.15, 3.4)})
