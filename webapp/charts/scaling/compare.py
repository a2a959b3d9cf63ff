"""Two or more fits, of different laws or data: their curves with bands and their points on the same axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.scaling import drawing, paths
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.scaling.reading import Reading

PLACE = 10
TITLE = "Fits together"
QUESTION = "Where do these fits agree, and where do they part?"
IS_WIDE = True


class Line(NamedTuple):
    """One fit: its curve and its band, (steps,), and its points, (points,). `largest` is the last of these."""

    name: str
    value: Float64
    low: Float64
    high: Float64
    places: Float64
    measured: Float64
    told: list[list[Any]]
    largest: float


class Together(NamedTuple):
    title: str
    target: str
    x: Float64
    lines: list[Line]
    words: list[str]


def compares(readings: Mapping[str, Reading]) -> bool:
    """Whether all explain the same by the same variable."""
    return shared(readings) is not None


def shared(readings: Mapping[str, Reading]) -> str | None:
    """What all of them can be drawn over: "C", or the one variable that each reads."""
    told = list(readings.values())
    if len({reading.law.target for reading in told}) != 1:
        return None
    if all(paths.over_compute(reading) for reading in told):
        return "C"
    names = {tuple(reading.law.variables) for reading in told}
    only = next(iter(names))
    return only[0] if len(names) == 1 and len(only) == 1 else None


def common(readings: Mapping[str, Reading], over: str) -> Float64:
    """The range of all points and of what was asked, (steps,)"""
    values = np.concatenate([_places(reading, over) for reading in readings.values()])
    if over != "C":
        is_log = drawing.is_wide(values)
        return paths.spread(values, 3.0 if is_log else 1.2, is_log)
    end = max(paths.farthest(reading) for reading in readings.values()) if _is_over_compute(readings) else 0.0
    return np.geomspace(values.min() / 1.5, max(end, 3 * values.max()), paths.STEPS)


def at(reading: Reading, over: str, x: Float64) -> dict[str, Float64]:
    return paths.along_compute(reading, x).at if paths.over_compute(reading) else {over: x}


def _is_over_compute(readings: Mapping[str, Reading]) -> bool:
    return all(paths.over_compute(reading) for reading in readings.values())


def _places(reading: Reading, over: str) -> Float64:
    return paths.compute_of(reading) if paths.over_compute(reading) else reading.through[over]


def data(readings: Mapping[str, Reading]) -> Together:
    """By their names, which may be any text. At least one."""
    over, first = shared(readings), next(iter(readings.values()))
    if over is None:
        return Together("", "", np.empty(0), [], [])
    x = common(readings, over)
    lines = [_line(name, reading, over, x) for name, reading in readings.items()]
    words = [drawing.bands_in_words(first), "dotted: the largest fitted run of each"]
    return Together(drawing.title_of(first, over), drawing.target_of(first), x, lines, words)


def _line(name: str, reading: Reading, over: str, x: Float64) -> Line:
    places = _places(reading, over)
    is_direct = not reading.result["reduced"]
    told = drawing.told(reading) if is_direct else [[None, theme.plain(name)]] * len(places)
    measured = reading.through[reading.law.target]
    return Line(name, *reading.band(at(reading, over, x)), places, measured, told, float(places.max()))


def figure(data: Together) -> Json:
    if not data.lines:
        return look.empty("These fits explain different things, or by different variables: nothing to draw them over.")
    sides = [side for line in data.lines for side in (line.measured, line.value, line.low, line.high)]
    is_log = drawing.is_wide(data.x)
    largest = [(line.largest, theme.colour(place)) for place, line in enumerate(data.lines)]
    return {
        "data": [trace for place, line in enumerate(data.lines) for trace in _traces(place, line, data)],
        "layout": theme.layout(
            data.title,
            data.target,
            hovermode="closest",
            showlegend=True,
            margin={"l": 54, "r": 16, "t": 26, "b": 40},
            xaxis=drawing.axis([data.x], is_log, room=0.01),
            yaxis=drawing.axis(sides, is_log and _are_positive(sides)),
            shapes=[theme.vertical(place, f"{colour}/0.7") for place, colour in largest],
            meta=look.caption(*data.words),
        ),
    }  # fmt: skip


def _are_positive(sides: list[Float64]) -> bool:
    return all((side[np.isfinite(side)] > 0).all() for side in sides)


def _traces(place: int, line: Line, data: Together) -> list[Json]:
    colour, name = theme.colour(place), theme.plain(line.name)
    drawn = drawing.thinned(len(line.places))
    told = [[line.told[each][0], f"{name}, {line.told[each][1]}"] for each in drawn]
    marker = {"size": 5, "color": f"{colour}/0.4"}
    dots = drawing.points(name, line.places[drawn], line.measured[drawn], told, marker, showlegend=False)
    style = {"color": colour, "width": 2}
    curve = look.line(name, data.x, line.value, style, f"{name}: %{{y:.4g}} at %{{x:.3g}}")
    return [*drawing.band(data.x, line.low, line.high, colour), dots, curve]
