"""Fits all resamples at once, each as how often it has every point.

Draws come from numpy's RandomState, whose stream is frozen: a seed gives the same resamples in every version, and
seed 42 with rows gives those of Besiroglu et al. 2024. Each resample starts from whichever of the known ends (optimum,
other minima, ends of the grid) is best for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpu_jobs.engine.laws.descent import descend
from gpu_jobs.engine.laws.minima import Minima
from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.engine.laws.problem import Problem, blocks

TOLERANCE, ROUNDS = 1e-8, 200
CANDIDATES = 12


def units(labels: Sequence[Any] | None, points: int) -> Array:
    """For each point, the number of its unit, (points,); without labels each point is one."""
    if labels is None:
        return np.arange(points)
    order: dict[Any, int] = {}
    return np.array([order.setdefault(label, len(order)) for label in labels])


def draws(members: Array, resamples: int, seed: int) -> Array:
    """How often each resample has each unit, (resamples, units)"""
    size = int(members.max()) + 1
    random = np.random.RandomState(seed)
    found = np.empty((resamples, size), np.int32)
    for row in range(resamples):
        found[row] = np.bincount(random.choice(size, size, replace=True), minlength=size)
    return found


def refit(problem: Problem, known: Minima, drawn: Array, members: Array) -> Array:
    """The optimum of each resample, (resamples, free); NaN where it has none."""

    def counts(rows: slice) -> Array:
        return np.asarray(drawn[rows][:, members], float)

    ends = np.concatenate([known.vectors, known.ends])[:CANDIDATES]
    with np.errstate(all="ignore"):
        parts = np.nan_to_num(problem.loss.rho(problem.residuals(ends)), nan=1e300, posinf=1e300)  # (ends, points)
    nearest = np.empty(len(drawn), int)
    for rows in blocks(len(drawn), problem.points):
        nearest[rows] = np.argmin(counts(rows) @ parts.T, axis=1)
    found, values = descend(problem, ends[nearest], counts, rounds=ROUNDS, tolerance=TOLERANCE)
    found[~np.isfinite(values)] = np.nan
    return found


def quantiles(values: Array, level: float) -> tuple[float, float] | None:
    """The percentile interval; None with fewer than 20 finite draws."""
    finite = values[np.isfinite(values)]
    if len(finite) < 20:
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
