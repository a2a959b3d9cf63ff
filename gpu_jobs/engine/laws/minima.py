"""From a grid of starts to the minima of the objective: all distinct ones within 1 % of the best.

The whole grid is scored in one pass; the best few hundred make a few steps, the best `polish` of those descend to their
end with tight tolerances, and each distinct minimum is then polished once more by scipy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from gpu_jobs import registry
from gpu_jobs.engine.laws.descent import descend
from gpu_jobs.engine.laws.deviations import solve_l1
from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.engine.laws.problem import Problem
from gpu_jobs.errors import DataError

NEAR = 0.01  # relative: minima this close to the best are reported
MOST_STARTS = 200_000
CANDIDATES, FIRST_ROUNDS = 8, 6  # candidates for each that is polished, and the steps after which the best are chosen
APART = 1e-2  # in the fitted scale
NOISELESS = 1e-16  # of the scaled objective a point: below it minima are not compared
BETWEEN = np.linspace(0, 1, 9)[1:-1]


@dataclass(frozen=True)
class Minima:
    """`vectors` are (minima, free), best first, with their scaled `values`; `ends` are all polished ends."""

    vectors: Array
    values: Array
    ends: Array
    starts: int
    polished: int

    @property
    def best(self) -> Array:
        return np.asarray(self.vectors[0])


def minima(problem: Problem, polish: int = 50) -> Minima:
    """Raises DataError where the law has no value at any start."""
    starts = grid(problem)
    scores = problem.score(starts)
    order = np.argsort(scores)[: CANDIDATES * polish]
    order = order[np.isfinite(scores[order])]
    if not len(order):
        raise DataError(f"law {problem.knobs.name!r} has no value at any start: {_suspects(problem)}")
    ends, values = descend(problem, starts[order], rounds=FIRST_ROUNDS)
    best = np.argsort(values)[:polish]
    ends, values = descend(problem, ends[best])
    ends = ends[np.argsort(values)]
    found, values = _distinct(problem, ends, np.sort(values))
    vectors, values = _polished(problem, found)
    return Minima(vectors, values, ends, len(starts), len(best))


def _suspects(problem: Problem) -> str:
    low = {name: float(values.min()) for name, values in problem.variables.items()}
    found = [f"{name} must be positive, its least value is {value:g}" for name, value in low.items() if value <= 0]
    return "; ".join(found) or "look at the units of the points, or give other starts"


def grid(problem: Problem) -> Array:
    """The product of the starts of the free parameters, (starts, free). Raises DataError where it is too large."""
    module = registry.method_of(problem.knobs).module
    given = module.starts(problem.knobs, problem.variables, problem.target)
    sides = [given[name] for name in problem.names]
    size = int(np.prod([len(side) for side in sides]))
    if size > MOST_STARTS:
        raise DataError(
            f"the grid has {size:,} starts, more than {MOST_STARTS:,}: give fewer starts for each parameter"
        )
    return (
        np.stack([axis.ravel() for axis in np.meshgrid(*sides, indexing="ij")], axis=1) if sides else np.zeros((1, 0))
    )


def _distinct(problem: Problem, ends: Array, values: Array) -> tuple[Array, Array]:
    """The ends that are minima of their own: apart from better ones, with a rise on the way to each of them."""
    limit = values[0] * (1 + NEAR) + NOISELESS * problem.points
    kept: list[int] = []
    for index in np.flatnonzero(values <= limit):
        if all(_is_apart(problem, ends[other], ends[index], values[index]) for other in kept):
            kept.append(int(index))
    return ends[kept], values[kept]


def _is_apart(problem: Problem, better: Array, worse: Array, value: float) -> bool:
    if np.abs(better - worse).max(initial=0.0) < APART:
        return False
    way = better + BETWEEN[:, None] * (worse - better)
    return bool(problem.score(way).max() > value * (1 + 1e-9) + NOISELESS * problem.points)


def _polished(problem: Problem, vectors: Array) -> tuple[Array, Array]:
    """Each by scipy, best first; one that got worse stays what it was."""
    tried = np.array([_by_scipy(problem, vector) for vector in vectors])
    before, after = problem.score(vectors), problem.score(tried)
    better = after < before
    if problem.loss.exact_l1:  # judged by the exact sum, which `solve_l1` never lets grow
        better[:] = True
    vectors, values = np.where(better[:, None], tried, vectors), np.where(better, after, before)
    order = np.argsort(values, kind="stable")
    return vectors[order], values[order]


def _by_scipy(problem: Problem, vector: Array) -> Array:
    if not len(vector):
        return vector
    if problem.loss.exact_l1:
        return solve_l1(problem, vector)
    if not np.isfinite(problem.loss.delta) and problem.points >= len(vector):
        return _least_squares(problem, vector)

    def value(at: Array) -> tuple[float, Array]:
        values, gradients = problem.slope(at[None])
        return float(values[0]), gradients[0]

    found = optimize.minimize(value, vector, jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 300})
    return np.asarray(found.x, float)


def _least_squares(problem: Problem, vector: Array) -> Array:
    """Levenberg-Marquardt (MINPACK) with exact derivatives."""

    def residuals(at: Array) -> Array:
        return np.asarray(np.nan_to_num(problem.residuals(at[None])[0], nan=1e150, posinf=1e150, neginf=-1e150))

    def jacobian(at: Array) -> Array:
        with np.errstate(all="ignore"):
            _, partials = problem.jacobian(at[None])
        columns = [np.broadcast_to(partials.get(index, 0.0), (1, problem.points))[0] for index in range(len(at))]
        return np.asarray(np.nan_to_num(np.stack(columns, axis=1)))

    found = optimize.least_squares(
        residuals, vector, jac=jacobian, method="lm", x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    return np.asarray(found.x, float)
