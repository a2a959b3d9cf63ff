"""Two or three things that a trial is good at, against each other: objectives, costs, or whatever its runs have logged.

A trial is on the front when no other is at least as good in everything and better in something.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from webapp.charts import theme
from webapp.charts.sweeps import look, trials
from webapp.charts.sweeps.measures import Measure, choices, measured
from webapp.charts.sweeps.options import Option, option
from webapp.charts.theme import Json
from webapp.metrics.points import Int64
from webapp.sweeps.definition import Definition
from webapp.sweeps.measures.pareto import front
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import definition
from webapp.sweeps.statistics import Interval, interval

PLACE = 60
TITLE = "Pareto front"
QUESTION = "What does a better value cost?"
NONE = ""
MOST_DOTS = 1000


GOALS = {"": "as it is meant", "minimize": "less", "maximize": "more"}


class Pareto(NamedTuple):
    """n trials that have all measures. `is_front` (n,); `intervals`: per measure, of the front's means, in the order of
    their numbers; `shown` are places among the trials."""

    numbers: Int64
    measures: list[Measure]
    is_front: NDArray[np.bool_]
    intervals: list[list[Interval]]
    shown: Int64


def applies(definition: Definition) -> bool:
    return True


def options(sweep: Sweep) -> list[Option]:
    """With one objective its cost is the time that it trains."""
    known, several = choices(sweep), len(definition(sweep).objective)
    first = "1" if several > 1 else "seconds"
    third = known[2:3] if several > 2 else []
    return [
        option("x", "x", sorted(known, key=lambda one: one[0] != first)),
        option("y", "y", known),
        option("colour", "colour", [*third, (NONE, "none"), *(one for one in known if one not in third)]),
        *(option(f"{side}_goal", f"better {side} is", GOALS.items()) for side in ("x", "y", "colour")),
    ]


def data(
    sweep: Sweep, x: str, y: str, colour: str = NONE, x_goal: str = "", y_goal: str = "", colour_goal: str = ""
) -> Pareto | None:
    """None when x and y are the same."""
    if x == y:
        return None
    asked = [(name, goal) for name, goal in ((x, x_goal), (y, y_goal), (colour, colour_goal)) if name != NONE]
    numbers, measures = measured(sweep, asked)
    return of(np.array(numbers, np.int64), measures, definition(sweep).seeds.confidence)


def of(numbers: Int64, measures: Sequence[Measure], confidence: float = 0.95) -> Pareto:
    losses = np.column_stack([one.goal * one.values for one in measures])
    is_front = np.array(front(losses.tolist()), bool)
    places = np.flatnonzero(is_front)
    shown = trials.thinned(len(numbers), MOST_DOTS, places)
    bounds = [[interval(one.samples[place], confidence) for place in places] for one in measures]
    return Pareto(numbers, list(measures), is_front, bounds, shown)


def figure(data: Pareto | None) -> Json:
    if data is None:
        return look.empty("Both axes are the same: choose two.")
    if not len(data.numbers):
        return look.empty("No trial that succeeded has both of these.")
    x, y = data.measures[:2]
    is_front = data.is_front[data.shown]
    groups = [("dominated", data.shown[~is_front]), ("front", data.shown[is_front])]
    return {
        "data": [*([] if len(data.measures) > 2 else [_line(data)]), *(_dots(data, *group) for group in groups)],
        "layout": theme.layout(
            theme.plain(x.title),
            theme.plain(y.title),
            hovermode="closest",
            margin={"l": 60, "r": 16, "t": 8, "b": 40},
            xaxis=_axis(x),
            annotations=_labels(data),
            meta=look.caption(_said(data), look.few_of(len(data.shown), len(data.numbers))),
        )
        | {"yaxis": {"title": {"text": theme.plain(y.title)}, **_axis(y)}},
    }


def _axis(one: Measure) -> Json:
    """Counts over orders of magnitude are drawn by their logarithms; what is far off falls out of sight."""
    if _is_log(one):
        return look.log_axis(float(one.values.min()), float(one.values.max()))
    return {"type": "linear", "range": look.rim(one.values, one.goal)[1]}


def _is_log(one: Measure) -> bool:
    low, high = one.values.min(), one.values.max()
    return bool(low > 0 and high / low > 50)


def _line(data: Pareto) -> Json:
    """The edge of what is dominated, as steps from the best x to the worst."""
    x, y = data.measures[:2]
    places = np.flatnonzero(data.is_front)
    places = places[np.lexsort((y.goal * y.values[places], x.goal * x.values[places]))]
    return look.line("edge", x.values[places], y.values[places], {"color": "--accent", "width": 1.6, "shape": "hv"})


def _dots(data: Pareto, name: str, chosen: Int64) -> Json:
    x, y = data.measures[:2]
    on_front = name == "front"
    marker: Json = {"size": 8 if on_front else 5, "color": "--accent" if on_front else "--ink-3/0.35"}
    if len(data.measures) > 2:
        marker |= _colours(data.measures[2], chosen) | ({"line": {"width": 1.6, "color": "--ink"}} if on_front else {})
    told = [[int(data.numbers[i]), *(f"{one.values[i]:.5g}" for one in data.measures)] for i in chosen]
    words = ", ".join(f"{theme.plain(one.title)} %{{customdata[{k}]}}" for k, one in enumerate(data.measures, 1))
    trace = look.dots(name, x.values[chosen], y.values[chosen], told, marker, f"trial %{{customdata[0]}}: {words}")
    return trace | ({f"error_{side}": _bars(data.intervals[k]) for k, side in enumerate("xy")} if on_front else {})


def _colours(third: Measure, chosen: Int64) -> Json:
    return {
        "color": theme.numbers(third.values[chosen]), "colorscale": look.SCALE, "reversescale": third.goal < 0,
        "cmin": float(third.values.min()), "cmax": float(third.values.max()), "showscale": True,
        "colorbar": look.colour_bar(third.title),
    }  # fmt: skip


def _bars(intervals: Sequence[Interval]) -> Json:
    """None where there is one seed."""
    sizes = [one.high - one.mean if one.high is not None else 0.0 for one in intervals]
    return {"type": "data", "array": sizes, "thickness": 1, "width": 0, "color": "--accent/0.5", "visible": any(sizes)}


def _labels(data: Pareto) -> list[Json]:
    """Trial numbers beside a front of few."""
    places = np.flatnonzero(data.is_front)
    x, y = data.measures[:2]
    if len(places) > 8:
        return []
    return [
        theme.label(
            str(data.numbers[i]), _drawn(x, i), _drawn(y, i), xshift=7, yshift=8, font={"size": 10, "color": "--accent"}
        )
        for i in places.tolist()
    ]


def _drawn(one: Measure, place: int) -> float:
    value = float(one.values[place])
    return float(np.log10(value)) if _is_log(one) else value


def _said(data: Pareto) -> str:
    sides = zip(("x", "y", "colour"), data.measures, strict=False)
    better = ", ".join(f"{'less' if one.goal > 0 else 'more'} {side}" for side, one in sides)
    worse = [one.goal * one.values > one.goal * look.limit(one.values, one.goal) for one in data.measures[:2]
             if not _is_log(one)]  # fmt: skip
    hidden = int(np.any(worse, axis=0).sum()) if worse else 0
    told = f"{int(data.is_front.sum())} on the front · better is {better}"
    return told + (f" · {hidden} far off not shown" if hidden else "")
