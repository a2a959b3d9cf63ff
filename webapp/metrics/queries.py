"""Every read of metrics: windows for charts, all points, summaries for tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from webapp.metrics import ranges
from webapp.metrics.axes import AXES, TOKENS, Axis, AxisName, Steps, Times, Tokens
from webapp.metrics.decimate import keep
from webapp.metrics.errors import Invalid, NoSuchSeries
from webapp.metrics.models import CHUNK_POINTS, ENVELOPE_BUCKETS, Series
from webapp.metrics.points import Float64, Int64, Points, join
from webapp.metrics.ranges import Range
from webapp.metrics.summary import Summary
from webapp.runs.models import Run

__all__ = ["Summary", "Window", "names", "raw", "raw_of", "summaries", "window"]

POINTS_PER_ENVELOPE_BUCKET = CHUNK_POINTS // ENVELOPE_BUCKETS


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
    points or more, it is chosen among the outlines of the chunks, each the outline of 64 equal runs of 128 points.
    Raises NoSuchSeries, and Invalid where x is "tokens" and the run counts none.
    """
    series_id, _ = _find(run_id, name)
    axis = axis_of(run_id, x)
    within = axis.range(_number("start", start, -math.inf), _number("stop", stop, math.inf))
    in_small = ranges.count(series_id, within) >= POINTS_PER_ENVELOPE_BUCKET * points // 2
    parts = ranges.read(series_id, within, small=in_small)
    found = join([part.points for part in parts])
    positions = axis.x(found)
    chosen = keep(positions.astype(float), found.values, points)
    count = sum(part.count for part in parts)
    shown = found.take(chosen)
    return Window(name, x, positions[chosen], shown.values, count, len(chosen) < count, shown.steps)


def axis_of(run_id: int, x: AxisName) -> Axis:
    """The x of a run's charts. "relative" counts from the run's start, or its first point when it was never started."""
    if x == "step":
        return Steps()
    if x == "time":
        return Times()
    if x == "relative":
        return Times(_origin(run_id))
    if x == "tokens":
        return _tokens(run_id)
    raise Invalid([{"loc": ["x"], "msg": f"x must be one of {', '.join(AXES)}, not {x!r}."}])


def raw(run_id: int, name: str) -> Points:
    """Every point in order of its step. Raises NoSuchSeries."""
    series_id, _ = _find(run_id, name)
    return join([part.points for part in ranges.read(series_id, Range())])


def raw_of(run_ids: Iterable[int], name: str) -> dict[int, Points]:
    """Every point of one metric of many runs; runs without it are left out. Two queries."""
    series = Series.objects.filter(run_id__in=list(run_ids), name=name, count__gt=0).values_list("id", "run_id")
    runs = dict(series)
    return {runs[series_id]: points for series_id, points in ranges.whole(list(runs)).items()}


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


def _origin(run_id: int) -> float:
    started_at = Run.objects.values_list("started_at", flat=True).get(id=run_id)
    if started_at is not None:
        return started_at.timestamp()
    times = Series.objects.filter(run_id=run_id, count__gt=0).values_list("first_time", flat=True)
    return min((time for time in times if time is not None), default=0.0)


def _tokens(run_id: int) -> Tokens:
    try:
        tokens = Tokens.of(raw(run_id, TOKENS))
    except NoSuchSeries:
        tokens = Tokens.of(Points.empty())
    if not len(tokens.steps):
        message = f"Run {run_id} has no points of {TOKENS!r}: tokens can't be x here; choose step or time."
        raise Invalid([{"loc": ["x"], "msg": message}])
    return tokens


def _number(field: str, value: float | None, default: float) -> float:
    if value is None:
        return default
    if math.isnan(value):
        raise Invalid([{"loc": [field], "msg": f"{field} must be a number, not NaN."}])
    return value
