"""The store as a plain dictionary: what the real one must always agree with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from webapp.metrics.points import Points


@dataclass
class ListSeries:
    """Step -> (value, time); the last write of a step counts."""

    points: dict[int, tuple[float, float]] = field(default_factory=dict)

    def append(self, points: Points) -> None:
        for step, value, time in zip(*(column.tolist() for column in points), strict=True):
            self.points[step] = (value, time)

    def rewind(self, step: int) -> None:
        self.points = {at: point for at, point in self.points.items() if at <= step}

    def rows(self) -> list[tuple[int, float, float]]:
        return [(step, *self.points[step]) for step in sorted(self.points)]

    def columns(self) -> Points:
        rows = self.rows()
        return Points.of(*([row[column] for row in rows] for column in range(3)))


def assert_same_points(found: Points, expected: Points) -> None:
    for column, wanted in zip(found, expected, strict=True):
        assert column.dtype == wanted.dtype
        np.testing.assert_array_equal(column, wanted)


def assert_sums_up(summary, series: ListSeries) -> None:
    """Every field exactly; the mean to rounding."""
    rows = series.rows()
    finite = [value for _, value, _ in rows if math.isfinite(value)]
    assert summary.count == len(rows)
    assert summary.finite_count == len(finite)
    assert summary.minimum == min(finite, default=None)
    assert summary.maximum == max(finite, default=None)
    np.testing.assert_equal([summary.first, summary.last], [rows[0][1], rows[-1][1]])
    assert summary.last_step == rows[-1][0]
    assert (summary.first_time, summary.last_time) == (min(row[2] for row in rows), max(row[2] for row in rows))
    if finite:
        largest = max(map(abs, finite))
        assert math.isclose(
            summary.total, math.fsum(finite), rel_tol=1e-9, abs_tol=1e-12 * largest * len(finite) + 1e-280
        )
    else:
        assert summary.mean is None
