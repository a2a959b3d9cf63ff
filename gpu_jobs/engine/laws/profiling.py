"""Profiles: how the objective rises when one exponent is held away from its optimum and all others are fitted anew.

The statistic of a value v of a parameter is

    2 (F(v) - F) E[psi'] / E[psi^2]

with F the scaled sum, E[psi'] and E[psi^2] means over the residuals (the latter with points - parameters below it). Of
least squares this is the growth of the sum of squares over the variance of the residuals; of Huber's loss it is the
likelihood-ratio type statistic of M-estimators. It is about the square of a t-distributed number, so the interval is
where it stays below the square of the t quantile. That is an approximation: residuals are taken to be alike and
independent at all points, and E[psi'] of a small delta is 2 x the density of residuals at 0, which is estimated from
those within a Gaussian rule's bandwidth. Runs or settings with several rows make a profile too narrow: only the
bootstrap knows of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from gpu_jobs.engine.laws.descent import descend
from gpu_jobs.engine.laws.minima import Minima
from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.engine.laws.problem import Problem, stacked

OFFSETS = np.array([0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4, 6, 9, 14, 22, 35])  # standard errors to either side
WIDEST = 0.2  # of the parameter, or of 0.25: the largest standard error that is gone by
ROUNDS, TOLERANCE = 120, 1e-10
CANDIDATES = 6


@dataclass(frozen=True)
class Profile:
    """`values` and their `statistic`, in order; `low` and `high` are None where it stays below the `threshold`."""

    values: Array
    statistic: Array
    threshold: float
    low: float | None
    high: float | None

    @property
    def is_flat(self) -> bool:
        """Open to a side: no value there is ruled out, as far as was looked."""
        return self.low is None or self.high is None

    def facts(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "low": self.low,
            "high": self.high,
            "flat": self.is_flat,
            "values": self.values.tolist(),
            "statistic": self.statistic.tolist(),
            "threshold": self.threshold,
        }


def profiles(problem: Problem, known: Minima, level: float) -> dict[str, Profile]:
    """Of every exponent that is fitted, or of every parameter where the law names none; {} without spare points."""
    spare = problem.points - len(known.best)
    chosen = _exponents(problem)
    unit = _unit(problem, known.best)
    if spare < 1 or not chosen or not unit > 0:
        return {}
    around = _errors(problem, known.best)
    steps = np.concatenate([-OFFSETS[::-1], [0.0], OFFSETS])
    held = np.repeat(chosen, len(steps))
    values = np.concatenate([known.best[index] + steps * around.widths[index] for index in chosen])
    ends = _refitted(problem, known, held, values, around.slopes)
    growth = np.maximum(ends - problem.slope(known.best[None])[0], 0.0) * unit
    threshold = float(stats.t.ppf((1 + level) / 2, spare) ** 2)
    found = {}
    for place, index in enumerate(chosen):
        rows = slice(place * len(steps), (place + 1) * len(steps))
        found[problem.names[index]] = _profile(problem, index, values[rows], growth[rows], threshold)
    return found


def _exponents(problem: Problem) -> list[int]:
    free = problem.knobs.free
    marked = [index for index, each in enumerate(free) if each.exponent_of]
    return marked or list(range(len(free)))


def _unit(problem: Problem, best: Array) -> float:
    """2 E[psi'] / E[psi^2]; 0 where the residuals are nothing."""
    residuals, free = problem.residuals(best[None])[0], len(best)
    spare = max(len(residuals) - free, 1)
    square = float((problem.loss.psi(residuals) ** 2).sum()) / spare
    delta = problem.loss.delta
    if not np.isfinite(delta):
        return 4.0 / square if square > 0 else 0.0
    size = np.sort(np.abs(residuals))[free:]  # an optimum of a small delta goes through as many points as parameters
    spread = min(float(size.std() + size.mean()), 1.4826 * float(np.median(size))) if len(size) else 0.0
    within = max(delta, 1.06 * spread * len(residuals) ** -0.2)
    share = float((size < within).mean()) if len(size) else 0.0
    return 2.0 * share / within / square if square > 0 else 0.0


@dataclass(frozen=True)
class _Around:
    """`widths` of the steps, (free,), and how the others follow a parameter, (free, free) by rows."""

    widths: Array
    slopes: Array


def _errors(problem: Problem, best: Array) -> _Around:
    """Gauss-Newton's covariance at the optimum, with residuals' variance; a singular one is damped."""
    with np.errstate(all="ignore"):
        residuals, partials = problem.jacobian(best[None])
    matrix = np.nan_to_num(stacked(partials, residuals.shape, len(best))[0])
    information = matrix @ matrix.T
    scale = 1.0 / np.sqrt(np.maximum(np.diag(information), 1e-300))
    unit = information * scale * scale[:, None] + 1e-10 * np.eye(len(best))
    covariance = np.linalg.inv(unit) * scale * scale[:, None]
    noise = float((residuals**2).sum()) / max(problem.points - len(best), 1)
    errors = np.sqrt(np.maximum(np.diag(covariance) * noise, 0.0))
    most = WIDEST * np.maximum(np.abs(best), 0.25)
    with np.errstate(all="ignore"):
        slopes = np.nan_to_num(covariance / np.diag(covariance)[:, None], nan=0.0, posinf=0.0, neginf=0.0)
    return _Around(np.clip(np.nan_to_num(errors, posinf=1e300), 1e-6 * most, most), slopes)


def _refitted(problem: Problem, known: Minima, held: Array, values: Array, slopes: Array) -> Array:
    """The least scaled objective at each held value: from where the others would follow, known ends, and neighbours."""
    rows = np.arange(len(held))
    follow = known.best + (values - known.best[held])[:, None] * slopes[held]
    ends = np.concatenate([known.vectors, known.ends])[:CANDIDATES]
    tried = [follow, *(np.repeat(end[None], len(held), axis=0) for end in ends)]
    for each in tried:
        each[rows, held] = values
    scores = np.array([problem.score(each) for each in tried])
    starts = np.array(tried)[scores.argmin(0), rows]
    vectors, found = descend(problem, starts, rounds=ROUNDS, tolerance=TOLERANCE, held=held)
    return _by_neighbours(problem, held, values, vectors, found)


def _by_neighbours(problem: Problem, held: Array, values: Array, vectors: Array, found: Array) -> Array:
    """Begins again beside better neighbours, once from either side: a profile is smooth where it is one valley."""
    for step in (1, -1):
        moved = np.roll(vectors, step, axis=0)
        same = np.roll(held, step) == held
        moved[np.arange(len(held)), held] = values
        better = np.flatnonzero(same & (problem.score(moved) < found * (1 - 1e-9)))
        if len(better):
            again, value = descend(problem, moved[better], rounds=ROUNDS, tolerance=TOLERANCE, held=held[better])
            vectors[better], found[better] = again, value
    return found


def _profile(problem: Problem, index: int, values: Array, statistic: Array, threshold: float) -> Profile:
    """The interval is where the root of the statistic, a straight line near the optimum, crosses the threshold's."""
    middle = len(values) // 2
    root = np.sqrt(np.where(np.isfinite(statistic), statistic, 1e300))
    limit = float(np.sqrt(threshold))
    low = _crossing(values[middle::-1], root[middle::-1], limit)
    high = _crossing(values[middle:], root[middle:], limit)
    logs = problem.knobs.free[index].log
    natural = np.exp(values) if logs else values
    ends = [None if end is None else float(np.exp(end) if logs else end) for end in (low, high)]
    shown = np.minimum(np.where(np.isfinite(statistic), statistic, np.inf), 1e6)
    return Profile(natural, shown, threshold, ends[0], ends[1])


def _crossing(values: Sequence[float] | Array, root: Array, limit: float) -> float | None:
    """The first place, going outwards, from which on a step ends above the limit."""
    above = np.flatnonzero(root > limit)
    if not len(above):
        return None
    end = int(above[0])
    share = (limit - root[end - 1]) / (root[end] - root[end - 1])
    return float(values[end - 1] + share * (values[end] - values[end - 1]))
