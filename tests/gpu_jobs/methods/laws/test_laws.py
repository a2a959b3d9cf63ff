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
from gpu_jobs.methods.laws import (
    compute_class,
    densing,
    efficiency_leverage,
    envelope,
    imperfect_verifier,
    isoflop,
    kaplan,
    kinetics_cost,
    lr_sensitivity,
    parscale,
    pass_until,
    precision,
    repeated_data,
    samples,
)
from tests.gpu_jobs.methods.laws.known import CHINCHILLA, KNOWN, SMOOTH, VERIFIER


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


def test_a_share_of_samples_estimates_coverage_without_bias() -> None:
    """Over the binomial distribution of right ones among 12, exactly: 1 - (1 - p)^k."""
    p, n, k = 0.15, 12, 5
    chances = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    estimates = [samples.pass_at_k(n, c, k) for c in range(n + 1)]
    assert sum(map(math.prod, zip(chances, estimates, strict=True))) == pytest.approx(1 - (1 - p) ** k)
    with pytest.raises(MethodError, match="k <= samples"):
        samples.pass_at_k(4, 2, 5)


def test_one_sample_of_an_imperfect_verifier_by_hand() -> None:
    """k = 1: a task ends well with chance p r c, and badly with (1 - r)(1 - s)."""
    knobs = imperfect_verifier.Knobs(name="imperfect_verifier", cost=4.0)
    right, wrong = 0.58 * 0.87 + 0.42 * 0.13, (0.58 * 0.13 + 0.42 * 0.87) * 0.25
    assert imperfect_verifier.predict(knobs, VERIFIER, {"k": 1.0}) == pytest.approx(right - 4 * wrong)


def test_the_value_of_resampling_is_what_a_simulation_has() -> None:
    """Tasks are drawn, then samples until one is accepted; 5 standard errors of a mean of 40,000."""
    random, k = np.random.RandomState(0), 4
    rate = np.where(random.uniform(size=40_000) < VERIFIER["p"], VERIFIER["r_easy"], VERIFIER["r_hard"])
    value, waiting = np.zeros(len(rate)), np.ones(len(rate), bool)
    for _ in range(k):
        right = random.uniform(size=len(rate)) < rate
        accepted = waiting & (random.uniform(size=len(rate)) < np.where(right, 1.0, 1 - VERIFIER["s"]))
        value[accepted] = np.where(right, 1.0, -2.0)[accepted]
        waiting &= ~accepted
    knobs = imperfect_verifier.Knobs(name="imperfect_verifier", cost=2.0)
    error = value.std() / math.sqrt(len(rate))
    assert imperfect_verifier.predict(knobs, VERIFIER, {"k": float(k)}) == pytest.approx(value.mean(), abs=5 * error)


@pytest.mark.parametrize(("cost", "most"), [(1.0, 10), (4.0, 5), (10.0, 0)])
def test_few_samples_are_best_where_wrong_answers_cost(cost: float, most: int) -> None:
    """As published: at most 5 at a cost of 4, none at 10; without cost more are never worse."""
    knobs = imperfect_verifier.Knobs(name="imperfect_verifier", cost=cost)
    assert imperfect_verifier.best(knobs, VERIFIER) <= most
    free = imperfect_verifier.Knobs(name="imperfect_verifier")
    curve = imperfect_verifier.predict(free, VERIFIER, {"k": np.arange(1.0, 50.0)})
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] < 1


def test_the_published_leverage_is_what_its_authors_say() -> None:
    """More than 7 times at 3.1 % and 12 at 1e22 FLOPs, the best granularity between 8 and 12, nearly 1 when dense."""
    knobs = efficiency_leverage.Knobs(name="efficiency_leverage")
    published = efficiency_leverage.PUBLISHED
    at = {"A": np.array([0.031, 1.0]), "G": np.array([12.0, 12.0]), "C": np.array([1e22, 1e22])}
    sparse, dense = efficiency_leverage.predict(knobs, published, at)
    assert 7 < sparse < 8
    assert dense == pytest.approx(1, abs=0.02)
    assert 8 < efficiency_leverage.derived(knobs, published)["best_G"] < 12


def test_the_most_harmful_repeats_are_found_by_size() -> None:
    """Parabolas of loss by ln repeats whose peaks follow a power law; a size that only rises is left out."""
    N, repeats = np.repeat([1e7, 1e8, 1e9], 9), np.tile(np.geomspace(1, 1e4, 9), 3)
    peak = 1e-3 * N**0.6
    loss = 3 - 0.02 * np.log(repeats / peak) ** 2
    N, repeats = np.append(N, [1e10] * 3), np.append(repeats, [1, 10, 100])
    loss = np.append(loss, [2.5, 2.6, 2.75])
    knobs = repeated_data.Knobs(name="repeated_data")
    found = repeated_data.reduce(knobs, {"N": N, "repeats": repeats, "loss": loss})
    assert found["worst_repeats"] == pytest.approx(1e-3 * np.array([1e7, 1e8, 1e9]) ** 0.6)
    with pytest.raises(DataError, match="no size has 3"):
        repeated_data.reduce(knobs, {"N": N[-3:], "repeats": repeats[-3:], "loss": loss[-3:]})


def test_repeats_are_counted_and_a_rise_in_the_middle_is_seen() -> None:
    """0.1 % of 1e9 tokens, seen for a tenth of them: 100 times. Double descent rises and falls below its first low."""
    assert repeated_data.repeats(1e9, 0.1, 1e6) == pytest.approx(100)
    with pytest.raises(MethodError, match="unique"):
        repeated_data.repeats(1e9, 0.1, 2e8)
    assert repeated_data.rise([5.0, 4.0, 3.5, 3.8, 4.1, 3.4, 3.0]) == (2, 4, pytest.approx(0.6), True)
    assert repeated_data.rise([5.0, 4.0, 4.5, 4.4]) == (1, 2, 0.5, False)
    assert repeated_data.rise([5.0, 4.0, 3.0]) is None
    assert repeated_data.rise([5.0, 4.0, 4.005, 3.0], least=0.01) is None


def test_sensitivity_is_the_mean_over_rates_above_the_least() -> None:
    """By hand: 6.40, 6.44, 6.56 is 0.0667; a diverged run counts as the loss at initialisation; seeds are averaged."""
    knobs = lr_sensitivity.Knobs(name="lr_sensitivity", initial_loss=9.011)
    columns = {
        "N": np.array([1e6] * 4 + [1e7] * 3 + [1e8] * 3),
        "lr": np.array([1e-3, 1e-2, 1e-1, 1e-1, 1e-3, 1e-2, 1e-1, 1e-3, 1e-2, 1e-1]),
        "loss": np.array([6.40, 6.44, 6.50, 6.62, 6.31, 6.56, np.inf, 6.0, 6.0, 6.0]),
    }
    found = lr_sensitivity.reduce(knobs, columns)
    assert found["N"].tolist() == [1e6, 1e7]
    assert found["sensitivity"] == pytest.approx([0.2 / 3, (6.31 + 6.56 + 9.011) / 3 - 6.31])
    assert found["best_lr"].tolist() == [1e-3, 1e-3]


def test_sensitivity_does_not_depend_on_how_dense_the_rates_are() -> None:
    """A parabola in ln lr: 25 and 400 rates differ as a mean of so many does from the integral."""
    knobs = lr_sensitivity.Knobs(name="lr_sensitivity", initial_loss=10.0)

    def sensitivity(rates: int) -> float:
        lr = np.geomspace(3e-4, 3e-1, rates)
        columns = {"N": np.full(rates, 1e7), "lr": lr, "loss": 3 + 0.1 * np.log(lr / 1e-2) ** 2}
        return float(lr_sensitivity.reduce(knobs, columns)["sensitivity"][0])

    assert sensitivity(25) == pytest.approx(sensitivity(400), rel=0.1)


def test_bits_without_end_are_chinchillas_law() -> None:
    chinchilla = registry.methods("laws")["chinchilla"]
    at = {"N": 1e9, "D": 1e11}
    plain = chinchilla.module.predict(chinchilla.knobs(name="chinchilla"), CHINCHILLA, at)
    parts = {**CHINCHILLA, "gamma_w": 2.7, "gamma_a": 2.2, "gamma_kv": 1.0}
    many = {**at, "P_w": 1e3, "P_a": 1e3, "P_kv": 1e3}
    assert precision.predict(precision.Knobs(name="precision", of="parts"), parts, many) == pytest.approx(plain)
    same = precision.Knobs(name="precision", of="equal")
    alike = {**CHINCHILLA, "gamma": 2.0}
    few = {**at, **dict.fromkeys(("P_w", "P_a", "P_kv"), 4.0)}
    three = {**CHINCHILLA, "gamma_w": 2.0, "gamma_a": 2.0, "gamma_kv": 2.0}
    expected = precision.predict(precision.Knobs(name="precision", of="parts"), three, few)
    assert precision.predict(same, alike, {**at, "P": 4.0}) == pytest.approx(expected)
