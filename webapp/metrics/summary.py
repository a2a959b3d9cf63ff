"""The summary of some points, and of two lots of points that follow each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import NamedTuple

import numpy as np

from webapp.metrics.points import Float64, Points

LEAST_TOTAL = 1e-280  # the mean of any number of values of this total is a double


class Summary(NamedTuple):
    """Fields as in models.Summary. The summary of no points has nothing but zeros and None."""

    count: int = 0  # type: ignore[assignment]  # shadows tuple.count
    finite_count: int = 0
    total: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    first: float | None = None
    last: float | None = None
    last_step: int | None = None
    first_time: float | None = None
    last_time: float | None = None

    @property
    def mean(self) -> float | None:
        """Of the finite values."""
        return self.total / self.finite_count if self.finite_count else None


def summarise(points: Points) -> Summary:
    """Of points sorted by step. The sum of huge values may be infinite, of tiny ones 0; nothing else is rounded."""
    n = len(points.steps)
    if not n:
        return Summary()
    finite = points.values[np.isfinite(points.values)]
    return Summary(
        count=n,
        finite_count=len(finite),
        total=_sum(finite),
        minimum=float(finite.min()) if len(finite) else None,
        maximum=float(finite.max()) if len(finite) else None,
        first=float(points.values[0]),
        last=float(points.values[-1]),
        last_step=int(points.steps[-1]),
        first_time=float(points.times.min()),
        last_time=float(points.times.max()),
    )


def follow(one: Summary, other: Summary) -> Summary:
    """Of all points of both, where every step of `other` is above those of `one`."""
    if not (one.count and other.count):
        return one if one.count else other
    return Summary(
        count=one.count + other.count,
        finite_count=one.finite_count + other.finite_count,
        total=_settled(one.total + other.total),
        minimum=_best(min, one.minimum, other.minimum),
        maximum=_best(max, one.maximum, other.maximum),
        first=one.first,
        last=other.last,
        last_step=other.last_step,
        first_time=_best(min, one.first_time, other.first_time),
        last_time=_best(max, one.last_time, other.last_time),
    )


def follow_all(summaries: Iterable[Summary]) -> Summary:
    return reduce(follow, summaries, Summary())


def _sum(finite: Float64) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return _settled(float(finite.sum()))


def _settled(total: float) -> float:
    """PostgreSQL refuses a mean that is too small for a double, and there is an index of means."""
    return total if abs(total) >= LEAST_TOTAL else 0.0


def _best(choose: Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)
