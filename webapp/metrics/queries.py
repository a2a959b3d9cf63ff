"""Every read of metrics: windows for charts, all points, summaries for tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from webapp.metrics import ranges
from webapp.metrics.axes import Axis, AxisName
from webapp.metrics.decimate import keep
from webapp.metrics.errors import Invalid, NoSuchSeries
from webapp.metrics.models import CHUNK_POINTS, CONTOUR_BUCKETS, ENVELOPE_BUCKETS, Series
from webapp.metrics.placing import axes_of, axis_of, raw_of
from webapp.metrics.points import Float64, Int64, Points
from webapp.metrics.ranges import Detail, Part, Range
from webapp.metrics.summary import Summary

__all__ = ["Summary", "Window", "axis_of", "names", "raw", "raw_of", "summaries", "window", "windows"]


class Window(NamedTuple):
    """A stretch of a series as a chart wants it.

    `x` is int64 for steps, else float64; `y` float64, NaN and the infinities included; `steps` the step of each point.
    Every point is one that was logged. `count` is how many lie in the stretch; `decimated` whether some were left out.
    """

    name: str
    x_axis: AxisName
    x: Int64 | Float64
    y: Float64
    count: int  # type: ignore[assignment]  # shadows tuple.count
    decimated: bool
    steps: Int64

    @classmethod
    def nothing(cls, name: str, x_axis: AxisName) -> Window:
        none = Points.empty()
        return cls(name, x_axis, none.steps, none.values, 0, False, none.steps)


def window(
    run_id: int,
    name: str,
    *,
    x: AxisName = "step",
    start: float | None = None,
    stop: float | None = None,
    points: int = 1000,
) -> Window:
    """At most `points` (but at least 8) points of a series with start <= x <= stop, in order of their steps.

    The first, last, lowest and highest point are always among them, and so are, for every one of points/2 equally wide
    stretches of x, its lowest, its highest and (then it is points/3 stretches) a NaN. Where a stretch stands for 128
    points or more, it is chosen among the ends, lowest, highest and NaN ones of every 128 points of a chunk; where it
    stands for 1,024 or 8,192 or more, among those of so many.
    Raises NoSuchSeries, and Invalid where the run has no such x.
    """
    found = _find(run_id, name)
    return _windows({run_id: found}, {run_id: axis_of(run_id, x)}, name, x, start, stop, points)[run_id]


def windows(
    run_ids: Iterable[int],
    name: str,
    *,
    x: AxisName = "step",
    start: float | None = None,
    stop: float | None = None,
    points: int = 1000,
) -> dict[int, Window]:
    """The same window of many runs, in their order; those without the metric or the axis are left out. At most six
    queries."""
    wanted = list(run_ids)
    rows = Series.objects.filter(run_id__in=wanted, name=name, count__gt=0).values_list("run_id", "id", "count")
    series = {run_id: (series_id, count) for run_id, series_id, count in rows}
    found = {run_id: series[run_id] for run_id in wanted if run_id in series}
    return _windows(found, axes_of(list(found), x), name, x, start, stop, points)


def _windows(
    series: Mapping[int, tuple[int, int]],
    axes: Mapping[int, Axis],
    name: str,
    x: AxisName,
    start: float | None,
    stop: float | None,
    points: int,
) -> dict[int, Window]:
    """Of each run that has an axis; `series` are their ids and counts by run."""
    low, high = _number("start", start, -math.inf), _number("stop", stop, math.inf)
    wanted = {series[run_id][0]: axis.range(low, high) for run_id, axis in axes.items()}
    is_whole = math.isinf(low) and math.isinf(high)
    counts = dict(series.values()) if is_whole else ranges.counts(wanted)
    details = {
        series[run_id][0]: _detail(counts.get(series[run_id][0], 0), points)
        for run_id, axis in axes.items()
        if axis.is_exact or is_whole
    }
    parts = ranges.read_all(wanted, details)
    return {
        run_id: _window(parts.get(series_id, []), axes[run_id], Window.nothing(name, x), low, high, points)
        for run_id, (series_id, _) in series.items()
        if run_id in axes
    }


def _detail(count: int, points: int) -> Detail:
    """The least of a chunk that still has the low and the high of each of points/2 stretches."""
    for detail, runs in ((Detail.OUTLINE, 1), (Detail.CONTOUR, CONTOUR_BUCKETS), (Detail.ENVELOPE, ENVELOPE_BUCKETS)):
        if count >= CHUNK_POINTS // runs * points // 2:
            return detail
    return Detail.WHOLE


def _window(parts: Sequence[Part], axis: Axis, of: Window, low: float, high: float, points: int) -> Window:
    count, found = ranges.together(parts)
    positions = axis.x(found)
    if not axis.is_exact:
        inside = (positions >= low) & (positions <= high)
        count -= int(len(inside) - inside.sum())
        found, positions = found.take(inside), positions[inside]
    chosen = keep(positions.astype(float), found.values, points)
    shown = found.take(chosen)
    return of._replace(
        x=positions[chosen], y=shown.values, count=count, decimated=len(chosen) < count, steps=shown.steps
    )


def raw(run_id: int, name: str) -> Points:
    """Every point in order of its step. Raises NoSuchSeries."""
    series_id, _ = _find(run_id, name)
    return ranges.read(series_id, Range()).points


def names(run_id: int) -> list[str]:
    return list(Series.objects.filter(run_id=run_id, count__gt=0).order_by("name").values_list("name", flat=True))


def summaries(run_ids: Iterable[int], names: Sequence[str] | None = None) -> dict[int, dict[str, Summary]]:
    """Per run, the summaries of its series (or of those named) by name. One query; no chunk is read."""
    found: dict[int, dict[str, Summary]] = {run_id: {} for run_id in run_ids}
    series = Series.objects.filter(run_id__in=found, count__gt=0).order_by("run_id", "name")
    if names is not None:
        series = series.filter(name__in=names)
    for run_id, name, *fields in series.values_list("run_id", "name", *Summary._fields):
        found[run_id][name] = Summary(*fields)
    return found


def _find(run_id: int, name: str, field: str = "name") -> tuple[int, int]:
    """The id and the count of a series. Raises NoSuchSeries."""
    found = Series.objects.filter(run_id=run_id, name=name, count__gt=0).values_list("id", "count").first()
    if found is None:
        raise NoSuchSeries(run_id, name, field)
    return found


def _number(field: str, value: float | None, default: float) -> float:
    if value is None:
        return default
    if math.isnan(value):
        raise Invalid([{"loc": [field], "msg": f"{field} must be a number, not NaN."}])
    return value
