"""One metric of one run or of several, over steps, time, tokens, FLOPs or another metric.

A figure has, for each run, the logged line and, when it is smoothed, the smoothed line on top of the faint logged one.
Each trace says in `meta` which run and which of the two it is, so that a page can append live points to the right one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.smoothing import smooth
from webapp.charts.theme import Json
from webapp.metrics import queries
from webapp.metrics.axes import METRIC, AxisName
from webapp.metrics.points import Float64, Points
from webapp.runs.models import Attempt, PhaseMark, Run

TITLES: dict[AxisName, str] = {
    "step": "step",
    "time": "time (UTC)",
    "relative": "seconds since the start",
    "tokens": "tokens",
    "flops": "FLOPs",
}
MOST_LABELS = 6  # more runs than this are named in a legend
FEW_POINTS = 60  # up to so many are drawn with markers, and not smoothed
ROOM_FOR_LABELS = 120  # px


class Curve(NamedTuple):
    """One run's. `x` is in units of the axis, seconds since the epoch for time. Few points are not smoothed."""

    run_id: int
    label: str
    x: Float64
    y: Float64
    smoothed: Float64 | None
    is_short: bool


class Occurrence(NamedTuple):
    """Something that happened to the run: kind is "resumed" or "phase"."""

    x: float
    kind: str
    label: str


class LineData(NamedTuple):
    name: str
    x_axis: AxisName
    curves: list[Curve]
    occurrences: list[Occurrence]
    log_x: bool
    log_y: bool


def data(
    runs: Sequence[Run],
    name: str,
    *,
    x: AxisName = "step",
    start: float | None = None,
    stop: float | None = None,
    points: int = 1000,
    smoothing: float = 0.0,
    log_x: bool = False,
    log_y: bool = False,
) -> LineData:
    """Runs without the metric, or without the axis, have no curve. What happened is told of a single run only.

    `smoothing` is the weight in [0, 1) of smoothing.smooth.
    """
    windows = queries.windows([run.pk for run in runs], name, x=x, start=start, stop=stop, points=points)
    curves = [_curve(run, windows[run.pk], smoothing) for run in runs if run.pk in windows]
    happened = list(_occurrences(runs[0], x)) if len(runs) == 1 and curves else []
    return LineData(name, x, curves, happened, log_x and x != "time", log_y)


def figure(data: LineData) -> Json:
    traces = [trace for index, curve in enumerate(data.curves) for trace in _traces(data, curve, theme.colour(index))]
    x_type = "date" if data.x_axis == "time" else "log" if data.log_x else "linear"
    several = len(data.curves) > 1
    named = several and len(data.curves) <= MOST_LABELS
    more: Json = {"margin": {"l": 54, "r": ROOM_FOR_LABELS, "t": 6, "b": 40}} if named else {}
    return {
        "data": traces,
        "layout": theme.layout(
            title_of(data.x_axis),
            theme.plain(data.name) if several else "",
            xaxis={"type": x_type},
            yaxis={"type": "log" if data.log_y else "linear"},
            shapes=[theme.vertical(_drawn_at(data, event.x), _colour_of(event)) for event in data.occurrences],
            annotations=[*(_labels(data) if named else []), *_event_labels(data)],
            showlegend=several and not named,
            uirevision=f"{data.x_axis} {data.log_x}",  # the zoom stays when the figure is drawn again
            **more,
        ),
    }


def title_of(x: AxisName) -> str:
    return TITLES.get(x) or theme.plain(x.removeprefix(METRIC))


def _curve(run: Run, window: queries.Window, smoothing: float) -> Curve:
    x, is_short = window.x.astype(float), window.count <= FEW_POINTS
    smoothed = smooth(x, window.y, smoothing) if smoothing > 0 and not is_short else None
    return Curve(run.pk, run.name, x, window.y, smoothed, is_short)


def _traces(data: LineData, curve: Curve, colour: str) -> Iterator[Json]:
    faint = {"color": f"{colour}/0.3", "width": 1}
    plain = {"color": colour, "width": 1.7}
    logged = _trace(data, curve, curve.y, "logged", line=plain if curve.smoothed is None else faint)
    if curve.smoothed is not None:
        yield logged | {"hoverinfo": "skip", "hovertemplate": None, "showlegend": False}
        yield _trace(data, curve, curve.smoothed, "smoothed", line={"color": colour, "width": 1.8})
    else:
        mode = "lines+markers" if curve.is_short else "lines"
        yield logged | {"mode": mode, "marker": {"size": 5, "color": colour}}


def _trace(data: LineData, curve: Curve, y: Float64, part: str, **style: Any) -> Json:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": theme.plain(curve.label),
        "x": theme.numbers(_drawn_at(data, curve.x)),
        "y": theme.numbers(y),
        "hovertemplate": "%{y:.5g}",
        "meta": {"run": curve.run_id, "metric": data.name, "part": part},
        **style,
    }


def _drawn_at(data: LineData, x: Any) -> Any:
    """Plotly's dates are milliseconds since the epoch."""
    return x * 1000 if data.x_axis == "time" else x


def _labels(data: LineData) -> list[Json]:
    """The name of each run at the end of its line."""
    return [
        theme.label(curve.label, *end, font={"size": 10, "color": theme.colour(index)}, xshift=4)
        for index, curve in enumerate(data.curves)
        if (end := _end(data, curve)) is not None
    ]


def _event_labels(data: LineData) -> list[Json]:
    """Resumes are named at the top; phases have a chart of their own."""
    return [
        theme.label(event.label, np.log10(event.x).item() if data.log_x else _drawn_at(data, event.x), 1, yref="paper")
        for event in data.occurrences
        if event.kind == "resumed" and (event.x > 0 or not data.log_x)
    ]


def _end(data: LineData, curve: Curve) -> tuple[float, float] | None:
    """Where the last drawn point is, in the coordinates of annotations: logarithms on log axes."""
    line = curve.y if curve.smoothed is None else curve.smoothed
    is_drawn = np.isfinite(line) & ((line > 0) | (not data.log_y)) & ((curve.x > 0) | (not data.log_x))
    if not is_drawn.any():
        return None
    last = np.flatnonzero(is_drawn)[-1]
    x, y = float(_drawn_at(data, curve.x[last])), float(line[last])
    return (np.log10(x).item() if data.log_x else x), (np.log10(y).item() if data.log_y else y)


def _colour_of(event: Occurrence) -> str:
    return "--wait" if event.kind == "resumed" else "--ink-3"


def _occurrences(run: Run, x: AxisName) -> Iterator[Occurrence]:
    """Phases entered and attempts that went on from a checkpoint, at their places on the axis."""
    marks = PhaseMark.objects.filter(attempt__run=run).order_by("at")
    found = [("phase", mark.name, mark.step, mark.at.timestamp()) for mark in marks]
    for attempt in Attempt.objects.filter(run=run, number__gt=1):
        label = f"attempt {attempt.number}"
        found.append(("resumed", label, attempt.resumed_from_step or 0, attempt.started_at.timestamp()))
    if not found:
        return
    kinds, labels, steps, times = zip(*found, strict=True)
    places = queries.axis_of(run.pk, x).x(Points.of(steps, np.zeros(len(steps)), times))
    for place, kind, label in zip(places.tolist(), kinds, labels, strict=True):
        yield Occurrence(float(place), kind, label)
