"""Performance profiles: which share of the problems is solved within so many times the best solver's time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from webapp.metrics.points import Points

Times = Mapping[str, Mapping[str, float]]  # [solver][problem]; infinite: not solved


def ratios(times: Times) -> dict[str, dict[str, float]]:
    """r(s, w) = t(s, w) / min_s t(s, w); infinite where s, or everybody, missed w (Dolan and More 2002)."""
    problems = {problem for of in times.values() for problem in of}
    best = {problem: min(of.get(problem, math.inf) for of in times.values()) for problem in problems}
    return {
        solver: {problem: _ratio(of.get(problem, math.inf), best[problem]) for problem in sorted(problems)}
        for solver, of in times.items()
    }


def profile(ratios: Sequence[float], taus: Sequence[float]) -> list[float]:
    """rho(tau): the share of problems with r <= tau."""
    found = np.asarray(ratios, float)
    return [float(np.mean(found <= tau)) if len(found) else 0.0 for tau in taus]


def benchmark_score(ratios: Sequence[float], max_ratio: float) -> float:
    """B = 1 / (rmax - 1) times rho's integral from 1 to rmax: the mean of (rmax - r) / (rmax - 1), kept in [0, 1].

    rho is a step function, so the integral is exact: problem w adds the length on which r_w <= tau.
    """
    found = np.asarray(ratios, float)
    gained: NDArray[np.float64] = np.clip((max_ratio - found) / (max_ratio - 1), 0, 1)
    return float(gained.mean()) if len(found) else 0.0


def time_to(points: Points, target: float, sign: float, clock: str, started_at: float | None) -> float:
    """When a series first is as good as the target: its step, or seconds since the start; infinite when never."""
    hit = np.flatnonzero(sign * points.values <= sign * target)
    if not len(hit):
        return math.inf
    if clock == "steps":
        return float(points.steps[hit[0]])
    origin = started_at if started_at is not None else float(points.times[0])
    return max(0.0, float(points.times[hit[0]]) - origin)


def median(times: Sequence[float]) -> float:
    """With infinities: half of them or more make it infinite."""
    found = sorted(times)
    if not found:
        return math.inf
    middle = len(found) // 2
    return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2


def _ratio(time: float, best: float) -> float:
    if math.isinf(time):
        return math.inf
    return time / best if best > 0 else 1.0 if time == best else math.inf
