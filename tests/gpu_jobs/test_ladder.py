"""A ladder of runs, and which run to make next."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_jobs import ladder, registry
from gpu_jobs.engine.laws.minima import minima
from gpu_jobs.engine.laws.objectives import loss_of
from gpu_jobs.engine.laws.planning import covariance, derivatives, ranked
from gpu_jobs.engine.laws.problem import Problem
from gpu_jobs.errors import DataError, MethodError
from gpu_jobs.methods.laws import step_law
from gpu_jobs.points import LeastSquaresLog
from gpu_jobs.sources import ConfigModel
from tests.gpu_jobs.kinds.fits import TRUE, points


@pytest.mark.parametrize("parameters", [5e3, 1e5, 2e6, 3e7, 1e9, 7e10])
def test_a_shape_has_nearly_the_parameters_and_can_be_built(parameters: float) -> None:
    found = ladder.shape(parameters)
    assert found.parameters == pytest.approx(parameters, rel=0.05)
    built = ConfigModel(layers=found.layers, width=found.width, heads=found.heads)
    assert built.ffn_width == found.ffn
    assert found.parameters == found.layers * (4 * found.width**2 + 3 * found.width * found.ffn)


def test_a_rung_has_the_rate_and_the_batch_of_the_step_law() -> None:
    found = ladder.rung(1e8, 2e9, sequence_length=1024)
    assert found.lr == pytest.approx(step_law.learning_rate(found.parameters, found.tokens))
    assert found.batch_size * 1024 == pytest.approx(step_law.batch_tokens(2e9), rel=0.01)
    assert found.tokens == found.steps * found.batch_size * 1024
    assert found.tokens == pytest.approx(2e9, rel=0.001)
    assert found.flops == 6 * found.parameters * found.tokens


def test_a_grid_stays_below_the_target_and_crosses_sizes_with_ratios() -> None:
    rungs = ladder.grid(1e20, reach=30, sizes=4, ratios=(5, 20, 80))
    assert len(rungs) == 12
    assert [each.flops for each in rungs] == sorted(each.flops for each in rungs)
    assert rungs[-1].flops == pytest.approx(1e20 / 30, rel=0.1)
    ratios = np.array([each.tokens / each.parameters for each in rungs])
    assert sorted(ratios) == pytest.approx(sorted([5, 20, 80] * 4), rel=0.08)
    assert ladder.total(rungs) == pytest.approx(sum(each.flops for each in rungs))


def test_slices_are_of_equal_cost() -> None:
    rungs = ladder.isoflop(1e20, reach=10, budgets=3, sizes=5)
    costs = np.array([each.flops for each in rungs]).reshape(3, 5)
    for row, budget in zip(costs, (1e19 / 16, 1e19 / 4, 1e19), strict=True):
        assert row == pytest.approx(np.full(5, budget), rel=0.02)
    sizes = [each.parameters for each in rungs[-5:]]
    assert max(sizes) / min(sizes) == pytest.approx(16, rel=0.1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ladder.grid(-1.0), "positive number of FLOPs"),
        (lambda: ladder.isoflop(1e20, sizes=2), "3 or more"),
        (lambda: ladder.grid(1e20, reach=0.5), "reach"),
        (lambda: ladder.shape(10), "1,000 parameters"),
        (lambda: ladder.rung(1e6, 10), "one sequence"),
    ],
)
def test_what_makes_no_ladder_is_told(call: object, said: str) -> None:
    with pytest.raises(MethodError, match=said):
        call()  # type: ignore[operator]


def _problem(table: dict[str, list[float]]) -> Problem:
    knobs = registry.methods("laws")["chinchilla"].knobs(name="chinchilla")
    variables = {name: np.array(table[name]) for name in "ND"}
    return Problem(knobs, variables, np.array(table["loss"]), loss_of(LeastSquaresLog()))


def test_the_foreseen_width_is_that_of_a_fit_with_the_run_added() -> None:
    """The covariance with one more row, computed anew, against the update that made no fit."""
    problem = _problem(points(30))
    best = minima(problem).best
    goal, candidate = {"N": 1e11, "D": 2e12}, {"N": 2e9, "D": 4e10}
    gain = ranked(problem, best, [candidate], goal)[0]
    state, noise = covariance(problem, best)
    asked, row = (
        derivatives(problem, best, {name: np.array([at[name]]) for name in "ND"})[0] for at in (goal, candidate)
    )
    after = np.linalg.inv(np.linalg.inv(state) + np.outer(row, row) / noise)
    assert gain.width == pytest.approx(np.sqrt(asked @ after @ asked / (asked @ state @ asked)), rel=1e-5)
    assert gain.nats == pytest.approx(0.5 * (np.linalg.slogdet(state)[1] - np.linalg.slogdet(after)[1]), rel=1e-5)
    assert gain.flops == 6 * 2e9 * 4e10


def test_the_standard_errors_are_those_of_repeated_data() -> None:
    """Gauss-Newton against the spread of fits to 40 data sets that differ in noise alone."""
    table = points(60)
    N, D = np.array(table["N"]), np.array(table["D"])
    exact = TRUE["E"] + TRUE["A"] / N ** TRUE["alpha"] + TRUE["B"] / D ** TRUE["beta"]
    random, found = np.random.RandomState(3), []
    for _ in range(40):
        noisy = (exact * np.exp(0.002 * random.standard_normal(60))).tolist()
        found.append(minima(_problem({**table, "loss": noisy}), polish=3).best)
    state, _ = covariance(_problem(table), np.mean(found, axis=0))
    assert np.sqrt(np.diag(state)) == pytest.approx(np.std(found, axis=0, ddof=1), rel=0.4)


def test_per_flop_a_far_run_is_not_always_best_but_narrows_most() -> None:
    problem = _problem(points(30))
    best, goal = minima(problem).best, {"N": 1e11, "D": 2e12}
    candidates = [{"N": n, "D": 20 * n} for n in (1e8, 1e9, 1e10)]
    gains = ranked(problem, best, candidates, goal)
    assert [each.gain_per_flop for each in gains] == sorted((each.gain_per_flop for each in gains), reverse=True)
    narrowest = min(gains, key=lambda each: each.width)
    assert narrowest.at["N"] == 1e10
    assert all(0 < each.width <= 1 for each in gains)


def test_without_points_to_spare_there_is_no_noise_to_tell() -> None:
    problem = _problem(points(5, noise=0))
    with pytest.raises(DataError, match="none to tell the noise"):
        ranked(problem, problem.fitted(TRUE), [{"N": 1e9, "D": 1e10}])
