"""Fronts of two objectives, and of more through Optuna's own algorithms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def front(losses: Sequence[Sequence[float]]) -> list[bool]:
    """Which of these points (n, objectives; less is better) no other one dominates. Equal points are all in it."""
    if not len(losses):
        return []
    if len(losses[0]) == 2:
        return _plane([(one, other) for one, other in losses])
    from optuna.study._multi_objective import _is_pareto_front

    points = np.asarray(losses, float)
    unique, inverse = np.unique(points, axis=0, return_inverse=True)
    mask: NDArray[np.bool_] = _is_pareto_front(unique, assume_unique_lexsorted=True)
    return [bool(found) for found in mask[inverse.reshape(-1)]]


def _plane(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Of two objectives: from the left, each point that lies lower than all before it. Loads no Optuna."""
    last, best = None, math.inf
    found = [False] * len(points)
    for place in sorted(range(len(points)), key=lambda place: points[place]):
        if points[place][1] < best:
            last, best = points[place], points[place][1]
        found[place] = points[place] == last
    return found


def hypervolume(losses: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """The volume that the points dominate below the reference point; points beyond it add nothing."""
    limit = np.asarray(reference, float)
    points = np.asarray(losses, float).reshape(-1, len(limit))
    points = points[(points < limit).all(axis=1)]
    if not len(points):
        return 0.0
    from optuna._hypervolume import compute_hypervolume

    return float(compute_hypervolume(points, limit))


def hypervolumes(losses: Sequence[Sequence[float]], reference: Sequence[float]) -> list[float]:
    """After each point, in the order given. Only a point that joins the front costs a computation."""
    best: list[Sequence[float]] = []
    found: list[float] = []
    for point in losses:
        if found and any(_covers(other, point) for other in best):
            found.append(found[-1])
            continue
        best = [other for other in best if not _covers(point, other)] + [point]
        found.append(hypervolume(best, reference))
    return found


def _covers(one: Sequence[float], other: Sequence[float]) -> bool:
    """At least as good in everything."""
    return all(a <= b for a, b in zip(one, other, strict=True))
