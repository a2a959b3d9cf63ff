"""Two knobs at once: every trial a point, and between the points, not beyond them, a surface.

The surface is linear between neighbours (Delaunay triangles in the scale in which the knobs are drawn) and stays away
from where nothing was tried.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import knobs, look, trials
from webapp.charts.sweeps.knobs import Knob
from webapp.charts.sweeps.options import Option, objectives
from webapp.charts.sweeps.trials import Trials
from webapp.charts.theme import Json
from webapp.metrics.points import Float64, Int64
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import definition

PLACE = 50
TITLE = "Contour"
QUESTION = "Where do two knobs work together?"
CELLS = 48  # along each side
NEAR = 0.12  # how far from a trial the surface reaches, in widths of the chart
FEWEST = 8  # trials
MOST_DOTS = 600


class Surface(NamedTuple):
    """`x` (m,) and `y` (n,) as the knobs are; `z` (n, m) is NaN where nothing near was tried."""

    x: Float64
    y: Float64
    z: Float64


class ContourData(NamedTuple):
    """Those trials that succeeded and in which both knobs are active. No surface over categories or few points."""

    metric: str
    goal: float
    numbers: Int64
    values: Float64
    x: Knob
    y: Knob
    surface: Surface | None
    shown: Int64


def applies(definition: Definition) -> bool:
    return len(definition.search.space) > 1


def options(sweep: Sweep) -> list[Option]:
    checked = definition(sweep)
    return [knobs.chosen("x", "x", checked), knobs.chosen("y", "y", checked, first=1), *objectives(checked)]


def data(sweep: Sweep, x: str, y: str, objective: str = "0") -> ContourData | None:
    """None when both are the same knob."""
    if x == y:
        return None
    checked, place = definition(sweep), int(objective)
    found = trials.read(sweep)
    found = found.take(found.has_succeeded)
    sides = [knobs.knob(path, checked.search.space[path], found.params) for path in (x, y)]
    return of(found, sides[0], sides[1], checked.objective[place].metric, look.goal(checked, place), place)


def of(found: Trials, x: Knob, y: Knob, metric: str, goal: float, objective: int = 0) -> ContourData:
    active = np.flatnonzero(x.is_active & y.is_active)
    x, y = (knob._replace(values=knob.values[active]) for knob in (x, y))
    values = found.values[active, objective]
    best = [int(np.argmin(goal * values))] if len(values) else []
    shown = trials.thinned(len(values), MOST_DOTS, best)
    return ContourData(metric, goal, found.numbers[active], values, x, y, surface(x, y, values, goal), shown)


def surface(x: Knob, y: Knob, values: Float64, goal: float) -> Surface | None:
    """Where the surface is, it lies between the values of the nearest trials; those far off count as the limit."""
    if x.categories or y.categories or len(values) < FEWEST:
        return None
    points, places = np.unique(np.column_stack([x.scaled, y.scaled]), axis=0, return_inverse=True)
    if min(np.ptp(points, axis=0)) == 0 or len(points) < FEWEST:
        return None
    z = goal * np.minimum(goal * values, goal * look.limit(values, goal))
    means = np.bincount(places.reshape(-1), z) / np.bincount(places.reshape(-1))
    side = np.linspace(0, 1, CELLS)
    return Surface(_unscaled(x, side), _unscaled(y, side), _between(points, means, side))


def _between(points: Float64, values: Float64, side: Float64) -> Float64:
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import KDTree, QhullError

    grid = np.stack(np.meshgrid(side, side), axis=-1)
    try:
        z = LinearNDInterpolator(points, values)(grid)
    except QhullError:  # all on one line
        return np.full(grid.shape[:2], np.nan)
    return np.where(KDTree(points).query(grid)[0] <= NEAR, z, np.nan)


def _unscaled(knob: Knob, side: Float64) -> Float64:
    low, high = float(knob.values.min()), float(knob.values.max())
    found = low * (high / low) ** side if knob.is_log else low + (high - low) * side
    return np.asarray(found, np.float64)


def figure(data: ContourData | None) -> Json:
    if data is None:
        return look.empty("Both sides are the same knob: choose two.")
    if not len(data.values):
        return look.empty("No trial with both knobs has succeeded yet.")
    told = "no surface: it needs two knobs that are numbers, and more trials" if data.surface is None else ""
    return {
        "data": [*([_surface(data, data.surface)] if data.surface else []), _points(data), _top(data)],
        "layout": theme.layout(
            theme.plain(data.x.path),
            theme.plain(data.y.path),
            hovermode="closest",
            margin={"l": 64, "r": 16, "t": 8, "b": 40},
            xaxis=knobs.axis(data.x),
            yaxis={**knobs.axis(data.y), "showgrid": False},
            meta=look.caption(told, look.few_of(len(data.shown), len(data.values))),
        )
        | {"yaxis": {"title": {"text": theme.plain(data.y.path)}, "showgrid": False, **knobs.axis(data.y)}},
    }


def _colours(data: ContourData) -> Json:
    """One scale for points and surface; the best end in the accent."""
    ends = sorted([float((data.goal * data.values).min() * data.goal), look.limit(data.values, data.goal)])
    return {"colorscale": look.SCALE, "reversescale": data.goal < 0, **dict(zip(("cmin", "cmax"), ends, strict=True))}


def _surface(data: ContourData, surface: Surface) -> Json:
    colours = _colours(data)
    return {
        "type": "contour", "x": theme.numbers(surface.x), "y": theme.numbers(surface.y), "hoverinfo": "skip",
        "z": [theme.numbers(line) for line in surface.z], "connectgaps": False, "opacity": 0.8, "ncontours": 14,
        "colorscale": colours["colorscale"], "reversescale": colours["reversescale"], "zmin": colours["cmin"],
        "zmax": colours["cmax"], "line": {"width": 0.6, "color": "--surface"}, "colorbar": look.colour_bar(data.metric),
    }  # fmt: skip


def _points(data: ContourData) -> Json:
    marker = {"size": 6, "color": theme.numbers(data.values[data.shown]), "line": {"width": 0.8, "color": "--surface"}}
    return _dots(data, data.shown, marker | _colours(data), "")


def _top(data: ContourData) -> Json:
    best = np.array([int(np.argmin(data.goal * data.values))])
    marker = {"size": 11, "symbol": "diamond", "color": "--accent", "line": {"width": 1.2, "color": "--surface"}}
    return _dots(data, best, marker, "the best: ")


def _dots(data: ContourData, chosen: Int64, marker: Json, prefix: str) -> Json:
    x_words, y_words = (list(map(theme.plain, knobs.words(knob))) for knob in (data.x, data.y))
    told = [[int(data.numbers[i]), x_words[i], y_words[i], f"{data.values[i]:.5g}"] for i in chosen]
    sides = f"{theme.plain(data.x.path)} %{{customdata[1]}}, {theme.plain(data.y.path)} %{{customdata[2]}}"
    x, y = knobs.drawn(data.x)[chosen], knobs.drawn(data.y, 1)[chosen]
    return look.dots("trials", x, y, told, marker, f"{prefix}trial %{{customdata[0]}}: %{{customdata[3]}} at {sides}")
