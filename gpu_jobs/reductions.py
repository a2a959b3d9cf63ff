"""What laws that go through optima are made of: parabolas through many resamples at once. numpy is loaded when used.

A resample is how often it has each row, (resamples, rows). What a law reduces it to is a table of (resamples, places)
columns and whether each place is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gpu_jobs.errors import DataError


class Parabola(NamedTuple):
    """level + slope (x - middle) + curve (x - middle)^2 of each resample; NaN where fewer than 3 x are there."""

    middle: Any
    curve: Any
    slope: Any
    level: Any

    @property
    def vertex(self) -> Any:
        return self.middle - self.slope / (2 * self.curve)

    @property
    def extreme(self) -> Any:
        """The value at the vertex."""
        return self.level - self.slope**2 / (4 * self.curve)


def parabolas(x: Any, y: Any, counts: Any) -> Parabola:
    """By least squares; `x` and `y` are (rows,), `counts` (resamples, rows)."""
    import numpy

    with numpy.errstate(all="ignore"):
        total = counts.sum(1, keepdims=True)
        middle, height = (counts @ x)[:, None] / total, (counts @ y)[:, None] / total
        z, rest = x - middle, y - height
        second, third, fourth = ((counts * z**power).sum(1) for power in (2, 3, 4))
        first_y, second_y = (counts * z * rest).sum(1), (counts * z**2 * rest).sum(1)
        free = fourth - third**2 / second - second**2 / total[:, 0]
        curve = (second_y - first_y * third / second) / numpy.where(distinct(x, counts) >= 3, free, numpy.nan)
        slope = (first_y - curve * third) / second
        return Parabola(middle[:, 0], curve, slope, height[:, 0] - curve * second / total[:, 0])


def distinct(x: Any, counts: Any) -> Any:
    """How many different x each resample has, to 9 digits, (resamples,)"""
    import numpy

    _, groups = numpy.unique(x.round(9), return_inverse=True)
    member = numpy.eye(int(groups.max()) + 1)[groups]  # (rows, groups)
    return ((counts @ member) > 0).sum(1)


def ends(x: Any, counts: Any) -> tuple[Any, Any]:
    """The least and the largest x of each resample."""
    import numpy

    here = counts > 0
    return numpy.where(here, x, numpy.inf).min(1), numpy.where(here, x, -numpy.inf).max(1)


def once(columns: Mapping[str, Any]) -> Any:
    """The one resample that has every row once."""
    import numpy

    return numpy.ones((1, len(next(iter(columns.values())))))


def only(columns: Mapping[str, Any], present: Any, said: str) -> dict[str, Any]:
    """The places of the one resample. Raises DataError, with what was `said`, where there is none."""
    if not present[0].any():
        raise DataError(said)
    return {name: column[0][present[0]] for name, column in columns.items()}
