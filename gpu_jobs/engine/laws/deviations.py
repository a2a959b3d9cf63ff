"""Least absolute deviations exactly: the residuals are made linear, and a linear program finds the next point.

min sum |r + J d| with |d| <= radius is a linear program. Its solution passes through as many points as there are
parameters; near the optimum each program at least squares the error. The radius shrinks where a step does not help.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, sparse

from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.engine.laws.problem import Problem, stacked

STEPS, SMALLEST = 40, 1e-12
MOST_POINTS = 20_000  # more would take the linear program minutes; there the smoothed optimum is as good


def solve_l1(problem: Problem, vector: Array) -> Array:
    """The minimum near a vector, (free,). The sum never grows."""
    if problem.points > MOST_POINTS:
        return vector
    best, value, radius = vector, _sum(problem, vector), 0.1
    for _ in range(STEPS):
        trial = best + _program(problem, best, radius)
        found = _sum(problem, trial)
        if found < value:
            gain = (value - found) / max(value, 1e-300)
            best, value, radius = trial, found, 2 * radius
            if gain < 1e-14:
                break
        else:
            radius /= 8
            if radius < SMALLEST:
                break
    return best


def _sum(problem: Problem, vector: Array) -> float:
    found = float(np.abs(problem.residuals(vector[None])).sum())
    return found if np.isfinite(found) else np.inf


def _program(problem: Problem, vector: Array, radius: float) -> Array:
    """The d of least sum |r + J d|, no entry larger than the radius."""
    residuals, partials = problem.jacobian(vector[None])
    matrix = stacked(partials, residuals.shape, len(vector))[0].T  # (points, free)
    points, free = matrix.shape
    eye = sparse.eye(points, format="csr")
    upper = sparse.hstack([sparse.csr_matrix(matrix), -eye])
    lower = sparse.hstack([sparse.csr_matrix(-matrix), -eye])
    found = optimize.linprog(
        np.concatenate([np.zeros(free), np.ones(points)]),
        A_ub=sparse.vstack([upper, lower]),
        b_ub=np.concatenate([-residuals[0], residuals[0]]),
        bounds=[(-radius, radius)] * free + [(0, None)] * points,
        method="highs",
    )
    return np.asarray(found.x[:free], float) if found.x is not None else np.zeros(free)
