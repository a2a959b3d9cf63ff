"""Which run to make next: how much each would narrow an interval, for its FLOPs.

Near its optimum a law is linear in its parameters, so their covariance is S = s^2 (J^T J)^-1, with J the derivatives at
the points and s^2 the variance of the residuals. One more point x, with derivatives j, makes it

    S' = S - S j j^T S / (s^2 + j^T S j)

(Sherman-Morrison). The variance of what is asked, g^T S g, falls by (g^T S j)^2 / (s^2 + j^T S j): no candidate has to
be run to know that. Without a goal the volume of the parameters' ellipsoid is what shrinks (D-optimal), by
ln(1 + j^T S j / s^2) / 2 nats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.engine.laws.problem import Problem, stacked
from gpu_jobs.errors import DataError

RIDGE = 1e-10  # of the largest derivative: keeps unidentified parameters from dividing by zero


class Gain(NamedTuple):
    """What one candidate would bring. `width` is the interval's, relative to now; `gain` counts per `flops`."""

    at: dict[str, float]
    flops: float
    width: float  # of the goal's interval afterwards, relative to now: 0.8 is a fifth narrower
    nats: float  # of information about the parameters
    gain_per_flop: float


def covariance(problem: Problem, best: Array) -> tuple[Array, float]:
    """(S, s^2) at the optimum. Raises DataError where no point is left to tell the noise."""
    points, free = problem.points, len(best)
    if points <= free:
        raise DataError(f"{points} points for {free} parameters leave none to tell the noise by: add points")
    residuals, partials = problem.jacobian(best[None])
    matrix = stacked(partials, residuals.shape, free)[0].T  # (points, free)
    noise = float((residuals**2).sum() / (points - free))
    information = matrix.T @ matrix
    information += RIDGE * np.diag(np.maximum(np.diag(information), 1e-300))
    return np.linalg.inv(information) * max(noise, 1e-300), max(noise, 1e-300)


def derivatives(problem: Problem, best: Array, at: Mapping[str, Array]) -> Array:
    """Of the residual's scale by the free parameters, (points, free)"""
    there = Problem(problem.knobs, at, np.ones(len(next(iter(at.values())))), problem.loss)
    residuals, partials = there.jacobian(best[None])
    return np.asarray(stacked(partials, residuals.shape, len(best))[0].T)


def ranked(
    problem: Problem,
    best: Array,
    candidates: Sequence[Mapping[str, float]],
    goal: Mapping[str, float] | None = None,
    flops: Sequence[float] | None = None,
) -> list[Gain]:
    """The candidates, best first: by how much narrower the goal's interval gets per FLOP, or by nats without a goal.

    A candidate and the goal give the law's variables; FLOPs are 6 N D unless they are given.
    """
    state, noise = covariance(problem, best)
    at = {name: np.array([each[name] for each in candidates], float) for name in problem.knobs.variables}
    rows = derivatives(problem, best, at)
    pushed = rows @ state  # (candidates, free)
    own = np.einsum("cp,cp->c", pushed, rows)
    nats, width = 0.5 * np.log1p(own / noise), np.ones(len(candidates))
    if goal is not None:
        asked = derivatives(problem, best, {name: np.array([goal[name]], float) for name in at})[0]
        now = float(asked @ state @ asked)
        width = np.sqrt(np.maximum(1 - (pushed @ asked) ** 2 / (noise + own) / now, 0.0))
    found = [
        _gain(
            dict(each), _flops(each) if flops is None else flops[index], float(width[index]), float(nats[index]), goal
        )
        for index, each in enumerate(candidates)
    ]
    return sorted(found, key=lambda each: -each.gain_per_flop)


def _gain(at: dict[str, float], flops: float, width: float, nats: float, goal: Any) -> Gain:
    return Gain(at, flops, width, nats, (nats if goal is None else -np.log(max(width, 1e-12))) / flops)


def _flops(candidate: Mapping[str, float]) -> float:
    if not {"N", "D"} <= candidate.keys():
        raise DataError(f"flops must be given for candidates without N and D: {', '.join(candidate)}")
    return 6.0 * candidate["N"] * candidate["D"]
