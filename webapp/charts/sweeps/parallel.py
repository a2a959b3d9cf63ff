"""Parallel coordinates: every trial a line through its knobs to its value.

Drawn as plain lines, because Plotly's own parallel coordinates make functions out of text, which the pages' policy
forbids. A knob that is inactive at a point stands at "off", below its axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import knobs, look, trials
from webapp.charts.sweeps.knobs import Knob
from webapp.charts.sweeps.options import Option, objectives
from webapp.charts.sweeps.trials import Trials
from webapp.charts.theme import Json
from webapp.metrics.points import Float64, Int64
from webapp.sweeps.definition import Choices, Definition, Dimension, Space
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import definition

PLACE = 20
TITLE = "Parallel coordinates"
QUESTION = "What do the good trials have in common?"
IS_WIDE = True
MOST_LINES = 400
OFF = -0.16  # the height of "off"; the axes reach from 0 to 1
SHADES = [  # name, which share of the trials is better at most, colour, how dark, width
    ("best tenth", 0.1, "--accent", 0.95, 1.8),
    ("better half", 0.5, "--series-7", 0.45, 1.1),
    ("others", 1.0, "--ink-3", 0.22, 1.0),
]
CROWD = 24  # more lines than this of one shade are fainter, each


class Axis(NamedTuple):
    """`ticks`: what is written at which height."""

    title: str
    ticks: list[tuple[float, str]]


class Parallel(NamedTuple):
    """`heights` (trials, axes): where each line crosses each axis. The value's axis is last, its best end up.

    `shares` (trials,): the share of all trials that are better.
    """

    axes: list[Axis]
    heights: Float64
    told: list[list[str]]
    numbers: list[int]
    shares: Float64
    count: int  # type: ignore[assignment]  # shadows tuple.count


def applies(definition: Definition) -> bool:
    return len(definition.search.space) > 1


def options(sweep: Sweep) -> list[Option]:
    return objectives(definition(sweep))


def data(sweep: Sweep, objective: str = "0") -> Parallel:
    checked, place = definition(sweep), int(objective)
    return of(
        trials.read(sweep), checked.search.space, checked.objective[place].metric, look.goal(checked, place), place
    )


def of(found: Trials, space: Space, metric: str, goal: float, objective: int = 0) -> Parallel:
    found = found.take(found.has_succeeded)
    y = found.values[:, objective]
    order = np.argsort(goal * y, kind="stable")
    shares = np.empty(len(y))
    shares[order] = np.arange(len(y)) / max(len(y), 1)
    shown = trials.thinned(len(y), MOST_LINES, order[: MOST_LINES // 10])
    few = found.take(shown)
    columns = [_column(knobs.knob(path, each, few.params), each) for path, each in space.items()]
    axes, heights, words = zip(*columns, _value_column(metric, y, shown, goal), strict=True)
    told = [list(line) for line in zip(*words, strict=True)]
    return Parallel(list(axes), np.column_stack(heights), told, few.numbers.tolist(), shares[shown], len(y))


_Column = tuple[Axis, Float64, list[str]]  # the axis; each trial's height; its words


def _column(knob: Knob, dimension: Dimension) -> _Column:
    """The axis is as wide as the space, or as what was tried before an edit of the space."""
    off = [] if knob.is_active.all() else [(OFF, "off")]
    if isinstance(dimension, Choices):
        top = max(len(knob.categories) - 1, 1)
        ticks, heights = [(place / top, name) for place, name in enumerate(knob.categories)], knob.values / top
    else:
        low = float(np.nanmin([dimension.low, *knob.values]))
        high = float(np.nanmax([dimension.high, *knob.values]))
        ticks, heights = _ticks(low, high, knob.is_log), _placed(knob.values, low, high, knob.is_log)
    axis = Axis(knob.path, [*off, *ticks])
    return axis, np.where(knob.is_active, heights, OFF), knobs.words(knob)


def _value_column(metric: str, y: Float64, shown: Int64, goal: float) -> _Column:
    """Far values are drawn at its lower end."""
    if not len(y):
        return Axis(metric, []), y, []
    best, worst = float((goal * y).min() * goal), look.limit(y, goal)
    heights = np.clip(_placed(y[shown], worst, best, False), 0, 1)
    return (
        Axis(metric, [(0, knobs.written(worst)), (1, knobs.written(best))]),
        heights.tolist(),
        [knobs.written(v) for v in y[shown].tolist()],
    )


def _placed(values: Float64, low: float, high: float, log: bool) -> Float64:
    """0 at `low`, 1 at `high`; in the middle where they are the same."""
    if low == high:
        return np.where(np.isnan(values), np.nan, 0.5)
    if log:
        values, low, high = np.log(values), math.log(low), math.log(high)
    return np.asarray((values - low) / (high - low), np.float64)


def _ticks(low: float, high: float, log: bool) -> list[tuple[float, str]]:
    """Both ends; between them, where there is room, the powers of ten on a log axis, else the middle."""
    if low == high:
        return [(0.5, knobs.written(low))]
    inner = (
        [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
        if log
        else [(low + high) / 2]
    )
    placed = [
        (float(height), knobs.written(value))
        for height, value in zip(_placed(np.array(inner), low, high, log), inner, strict=True)
    ]
    return [(0.0, knobs.written(low)), *(tick for tick in placed if 0.1 < tick[0] < 0.9), (1.0, knobs.written(high))]


def figure(data: Parallel) -> Json:
    if not data.numbers:
        return look.empty("No trial has succeeded yet.")
    last = len(data.axes) - 1
    return {
        "data": [*_lines(data), _points(data)],
        "layout": theme.layout(
            "",
            hovermode="closest",
            showlegend=True,
            margin={"l": 40, "r": 64, "t": 26, "b": 34},
            xaxis={
                "tickvals": list(range(last + 1)), "ticktext": [theme.plain(axis.title) for axis in data.axes],
                "range": [-0.15, last + 0.25], "ticks": "", "showline": False, "fixedrange": True,
            },
            yaxis={"visible": False, "range": [OFF - 0.08, 1.08], "fixedrange": True},
            shapes=[theme.vertical(place, "--rule", "solid") for place in range(last + 1)],
            annotations=list(_tick_labels(data.axes)),
            meta=look.caption(look.few_of(len(data.numbers), data.count)),
        ),
    }  # fmt: skip


def _lines(data: Parallel) -> Iterator[Json]:
    """A trace for each shade, worst first."""
    places = np.arange(len(data.axes), dtype=float)
    floor = [0.0, *(shade[1] for shade in SHADES)]
    for place in reversed(range(len(SHADES))):
        name, below, colour, dark, width = SHADES[place]
        chosen = np.flatnonzero((data.shares >= floor[place]) & (data.shares < below))
        x, y = look.joined((places, line) for line in data.heights[chosen])
        fainter = max(min(1.0, CROWD / max(len(chosen), 1)), 0.3)
        yield look.line(name, x, y, {"color": f"{colour}/{dark * fainter:.2f}", "width": width}, legendrank=place)


def _points(data: Parallel) -> Json:
    """Where the best tenth cross an axis there is something to hover."""
    chosen = np.flatnonzero(data.shares < SHADES[0][1])
    axes = len(data.axes)
    told = [
        [data.numbers[i], theme.plain(data.axes[k].title), theme.plain(data.told[i][k])]
        for i in chosen
        for k in range(axes)
    ]
    x, marker = np.tile(np.arange(axes), len(chosen)), {"size": 5, "color": "--accent"}
    hover = "trial %{customdata[0]}: %{customdata[1]} = %{customdata[2]}"
    return look.dots("best tenth", x, data.heights[chosen].ravel(), told, marker, hover) | {"showlegend": False}


def _tick_labels(axes: Sequence[Axis]) -> Iterator[Json]:
    for place, axis in enumerate(axes):
        for height, text in axis.ticks:
            yield theme.label(
                text, place, height, xshift=5, font={"size": 9.5, "color": "--ink-2"}, bgcolor="--surface/0.7"
            )
