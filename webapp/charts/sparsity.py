"""Quality of pruned models over what is left of them: a line a criterion, solid where it was retrained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.sparsity_accuracy import Knobs, Point, Result, Standing

SYMBOLS = ("circle", "square", "triangle-up", "x", "star", "hexagon")  # of temperatures
BAND = 0.12  # opacity
Place = Callable[[Point], float | None]


class Line(NamedTuple):
    """One criterion, retrained or not, at one temperature; `low` and `high` are None with one seed."""

    method: str
    is_retrained: bool
    temperature: str
    xs: list[float]
    means: list[float]
    lows: list[float | None]
    highs: list[float | None]


class Mark(NamedTuple):
    """Where a line leaves the tolerance; x is a sparsity."""

    method: str
    is_retrained: bool
    x: float
    low: float | None
    high: float | None


class Curves(NamedTuple):
    metric: str
    sign: float
    lines: list[Line]
    marks: list[Mark]
    dense: float | None
    tolerated: float | None
    tolerance: float
    missing: int  # curves of which nothing is known on this axis


def data(result: Result, knobs: Knobs, place: Place, *, marks: bool) -> Curves:
    """`place`: where a point stands, None where that was not measured."""
    groups: dict[tuple[str, bool, str], list[Point]] = {}
    for point in result.points:
        groups.setdefault((point.method, point.retrained, point.temperature), []).append(point)
    lines = [line for key, points in groups.items() if (line := _line(*key, points, place)).xs]
    sign = 1.0 if knobs.goal == "minimize" else -1.0
    found = [mark for one in result.standings if marks and (mark := _mark(one))]
    missing = len(groups) - len(lines)
    return Curves(result.metric, sign, lines, found, result.dense, result.tolerated, knobs.tolerance, missing)


def _line(method: str, is_retrained: bool, temperature: str, points: Sequence[Point], place: Place) -> Line:
    placed = sorted(((x, point) for point in points if (x := place(point)) is not None), key=lambda one: one[0])
    told = [point for _, point in placed]
    return Line(
        method, is_retrained, temperature, [x for x, _ in placed], [point.quality for point in told],
        [point.low for point in told], [point.high for point in told],
    )  # fmt: skip


def _mark(one: Standing) -> Mark | None:
    return None if one.limit is None else Mark(one.method, one.retrained, one.limit, one.low, one.high)


def figure(data: Curves, title: str, xaxis: Json) -> Json:
    if not data.lines:
        return look.empty("No pruned model has a value here yet.")
    methods = sorted({line.method for line in data.lines})
    heats = sorted({line.temperature for line in data.lines})
    is_both = len({line.is_retrained for line in data.lines}) > 1
    levels = [level for level in (data.dense, data.tolerated) if level is not None]
    arrays = [np.array([*line.means, *levels]) for line in data.lines]
    traces: list[Json] = []
    for line in data.lines:
        colour = theme.colour(methods.index(line.method))
        traces += [*_band(line, colour), _trace(line, colour, heats, is_both=is_both)]
    return {
        "data": [*traces, *_marks(data, methods)],
        "layout": theme.layout(
            title,
            theme.plain(data.metric),
            hovermode="closest",
            showlegend=True,
            margin={"l": 54, "r": 16, "t": 26, "b": 40},
            xaxis=xaxis,
            yaxis={"range": look.extent(arrays, data.sign)},
            shapes=_levels(data),
            meta=look.caption(*_caption(data, heats, is_both=is_both)),
        ),
    }


def _trace(line: Line, colour: str, heats: Sequence[str], *, is_both: bool) -> Json:
    name = " ".join(filter(None, [theme.plain(line.method), theme.plain(line.temperature)]))
    style = {"color": colour, "width": 1.7, "dash": "dash" if is_both and not line.is_retrained else "solid"}
    about = "retrained" if line.is_retrained else "not retrained"
    hover = f"{name}, {about}: %{{y:.5g}} at %{{x:.4g}}"
    trace = look.line(name, np.array(line.xs), np.array(line.means), style, hover)
    marker = {"size": 5, "color": colour, "symbol": SYMBOLS[heats.index(line.temperature) % len(SYMBOLS)]}
    return trace | {"mode": "lines+markers", "marker": marker, "legendgroup": name,
                    "showlegend": line.is_retrained or not is_both}  # fmt: skip


def _band(line: Line, colour: str) -> Iterator[Json]:
    """The intervals of its means, there and back; nothing with single seeds."""
    known = [(x, low, high) for x, low, high in zip(line.xs, line.lows, line.highs, strict=True)
             if low is not None and high is not None]  # fmt: skip
    if len(known) > 1:
        xs, lows, highs = np.array(known, np.float64).T
        around = np.concatenate([xs, xs[::-1]]), np.concatenate([highs, lows[::-1]])
        yield look.line("interval", *around, {"width": 0, "color": colour}) | {
            "fill": "toself", "fillcolor": f"{colour}/{BAND}", "showlegend": False,
        }  # fmt: skip


def _marks(data: Curves, methods: Sequence[str]) -> Iterator[Json]:
    """Where each line crosses what is tolerated, with its interval."""
    if data.tolerated is None:
        return
    for mark in data.marks:
        colour = theme.colour(methods.index(mark.method)) if mark.method in methods else "--ink-3"
        sizes = {"array": [0 if mark.high is None else mark.high - mark.x],
                 "arrayminus": [0 if mark.low is None else mark.x - mark.low], "symmetric": False}  # fmt: skip
        about = "retrained" if mark.is_retrained else "not retrained"
        yield {
            "type": "scatter", "mode": "markers", "x": [mark.x], "y": [data.tolerated], "showlegend": False,
            "name": f"limit of {theme.plain(mark.method)}",
            "marker": {"size": 9, "symbol": "diamond-open" if not mark.is_retrained else "diamond", "color": colour},
            "error_x": {"type": "data", "thickness": 1.2, "width": 3, "color": colour, **sizes},
            "hovertemplate": f"{theme.plain(mark.method)}, {about}: %{{x:.3f}}<extra></extra>",
        }  # fmt: skip


def _words(data: Curves) -> str:
    return f"{100 * data.tolerance:g} % worse"


def _levels(data: Curves) -> list[Json]:
    """Dense, and what is tolerated; their names stand on the sides that look away from each other."""
    inner, outer = ("top", "bottom") if data.sign > 0 else ("bottom", "top")
    found = [(data.dense, "dense", "dash", inner), (data.tolerated, _words(data), "dot", outer)]
    return [_level(value, *told) for value, *told in found if value is not None]


def _level(value: float, text: str, dash: str, anchor: str) -> Json:
    label = {"text": text, "textposition": "start", "yanchor": anchor, "padding": 2,
             "font": {"size": 10, "color": "--ink-3"}}  # fmt: skip
    return {
        "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "layer": "below",
        "line": {"color": "--ink-3/0.7", "width": 1, "dash": dash}, "label": label,
    }  # fmt: skip


def _caption(data: Curves, heats: Sequence[str], *, is_both: bool) -> list[str]:
    has_bands = any(low is not None for line in data.lines for low in line.lows)
    return [
        "dashed: not retrained" if is_both else "",
        "band: interval of the mean over seeds" if has_bands else "one seed each: no intervals",
        "diamond: where a line leaves the tolerance" if data.marks and data.tolerated is not None else "",
        "symbol: temperature" if len(heats) > 1 else "",
        "steep lines are cut",
        f"{data.missing} not drawn: nothing measured" if data.missing else "",
    ]
