"""Fewer points with the same outline: whatever a spike, a dip or a NaN was, it is still there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from webapp.metrics.models import ENVELOPE_BUCKETS
from webapp.metrics.points import Float64, Points

FEWEST_POINTS = 8  # both ends, and low, high and NaN of two buckets


def keep(x: Float64, y: Float64, points: int) -> NDArray[np.intp]:
    """Indices, ascending, of at most max(points, 8) of (x, y): the first, the last, and of each of equally wide
    stretches of x the lowest, the highest and (where there is one) a NaN. The infinities count as low and high.

    Where x goes back and forth, stretches have equally many points instead, and their lowest and highest x is kept too.
    """
    n = len(x)
    if n <= max(points, FEWEST_POINTS):
        return np.arange(n)
    is_nan = np.isnan(y)
    room, each = max(points, FEWEST_POINTS) - 2, 3 if is_nan.any() else 2
    if _ascends(x):
        return outline(y, is_nan, _edges(x, room // each))
    starts = _equal(n, room // (each + 2))
    return np.union1d(outline(y, is_nan, starts), outline(x, np.isnan(x), starts))


def outline(y: Float64, is_nan: NDArray[np.bool_], starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Indices of both ends of y and, of each stretch beginning at `starts`, its lowest, highest and first NaN."""
    n = len(y)
    low = _first_of_each(np.minimum, np.where(is_nan, np.inf, y), starts)
    high = _first_of_each(np.maximum, np.where(is_nan, -np.inf, y), starts)
    nan = _first_of_each(np.maximum, is_nan, starts)
    is_kept = np.zeros(n, bool)
    is_kept[[0, n - 1]] = True
    for best, is_right in ((low, ~is_nan), (high, ~is_nan), (nan, is_nan)):
        is_kept[best] |= is_right[best]
    return np.flatnonzero(is_kept)


def envelope(points: Points, runs: int = ENVELOPE_BUCKETS) -> Points:
    """A chunk in small: the outline of so many equal runs of its points."""
    starts = _equal(len(points.steps), runs)
    return points.take(outline(points.values, np.isnan(points.values), starts))


def _ascends(x: Float64) -> bool:
    return bool(x[0] < x[-1] and np.isfinite(x[-1] - x[0]) and not (x[1:] < x[:-1]).any())


def _equal(n: int, buckets: int) -> NDArray[np.intp]:
    return (np.arange(buckets) * n // buckets).astype(np.intp)


def _edges(x: Float64, buckets: int) -> NDArray[np.intp]:
    """Where each of equally wide stretches that is not empty begins."""
    inner = x[0] + (x[-1] - x[0]) * (np.arange(1, buckets) / buckets)
    starts = np.append(0, np.searchsorted(x, inner)).astype(np.intp)
    is_new: NDArray[np.bool_] = np.append(True, np.diff(starts) > 0)
    return starts[is_new]


def _first_of_each(best: np.ufunc, y: NDArray[np.generic], starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first index in each stretch at which it reaches its `best` value."""
    lengths = np.diff(np.append(starts, len(y)))
    reached = np.flatnonzero(y == np.repeat(best.reduceat(y, starts), lengths))
    return reached[np.searchsorted(reached, starts)]
