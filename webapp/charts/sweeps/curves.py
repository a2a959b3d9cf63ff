"""The objective of every trial over its steps: the best in colour, those stopped early with a stroke at their end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look, trials
from webapp.charts.sweeps.options import Option
from webapp.charts.sweeps.series import curves_of
from webapp.charts.theme import Json
from webapp.metrics.decimate import keep
from webapp.metrics.points import Float64
from webapp.sweeps.curves import Curve
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import definition
from webapp.sweeps.states import TrialStatus

PLACE = 15
TITLE = "Curves"
QUESTION = "How do trials train, and where were they stopped?"
TOP = 5
MOST_CURVES = 150
MOST_POINTS = 120  # of a curve


class Line(NamedTuple):
    """Of one trial, as measured; its finite points."""

    trial: int
    steps: Float64
    values: Float64
    was_stopped: bool


class Curves(NamedTuple):
    """`top`: the best that succeeded, best first; `others` in any order. `count` trials have a curve or may have."""

    metric: str
    goal: float
    top: list[Line]
    others: list[Line]
    count: int  # type: ignore[assignment]  # shadows tuple.count


def applies(definition: Definition) -> bool:
    return True


def options(sweep: Sweep) -> list[Option]:
    return []


def data(sweep: Sweep) -> Curves:
    checked, found = definition(sweep), trials.read(sweep, params=False)
    goal = look.goal(checked, 0)
    ranked = np.flatnonzero(found.has_succeeded)
    ranked = ranked[np.argsort(goal * found.values[ranked, 0], kind="stable")]
    best = found.numbers[ranked[:TOP]].tolist()
    shown = found.numbers[trials.thinned(len(found.numbers), MOST_CURVES, ranked[:TOP])]
    stopped = set(found.numbers[found.statuses == TrialStatus.STOPPED].tolist())
    return of(curves_of(sweep, shown.tolist()), best, stopped, checked.objective[0].metric, goal, len(found.numbers))


def of(curves: Sequence[Curve], best: Sequence[int], stopped: set[int], metric: str, goal: float, count: int) -> Curves:
    found = (_line(curve, goal, curve.trial in stopped) for curve in curves)
    lines = {line.trial: line for line in found if len(line.steps)}
    top = [lines[trial] for trial in best if trial in lines]
    return Curves(metric, goal, top, [line for trial, line in lines.items() if trial not in best], count)


def _line(curve: Curve, goal: float, was_stopped: bool) -> Line:
    is_finite = np.isfinite(curve.values)
    steps, values = curve.steps[is_finite].astype(float), goal * curve.values[is_finite]
    chosen = keep(steps, values, MOST_POINTS)
    return Line(curve.trial, steps[chosen], values[chosen], was_stopped)


def figure(data: Curves) -> Json:
    lines = [*data.others, *data.top]
    if not lines:
        return look.empty(f"No trial has logged {data.metric} yet.")
    extent = look.extent([line.values for line in lines], data.goal)
    stopped = [line for line in data.others if line.was_stopped]
    return {
        "data": [*_faint(data.others), *_ends(stopped), *map(_bold, data.top, theme.SERIES)],
        "layout": theme.layout(
            "step",
            theme.plain(data.metric),
            hovermode="closest",
            margin={"l": 54, "r": 64, "t": 6, "b": 40},
            yaxis={"range": extent},
            annotations=_labels(data.top, extent),
            meta=look.caption("a stroke: stopped early" if stopped else "", look.few_of(len(lines), data.count)),
        ),
    }


def _faint(lines: Sequence[Line]) -> Iterator[Json]:
    if lines:
        x, y = look.joined((line.steps, line.values) for line in lines)
        told = [[line.trial] for line in lines for _ in range(len(line.steps) + 1)]
        line = {"color": "--ink-3/0.25", "width": 1}
        yield look.dots("others", x, y, told, {}, "trial %{customdata[0]}, step %{x}: %{y:.5g}") | {
            "mode": "lines", "line": line, "connectgaps": False,
        }  # fmt: skip


def _ends(stopped: Sequence[Line]) -> Iterator[Json]:
    if stopped:
        ends = [(line.steps[-1], line.values[-1]) for line in stopped]
        x, y = np.array(ends, np.float64).T
        marker = {"size": 7, "symbol": "line-ns", "color": "--ink-3", "line": {"width": 1.6, "color": "--ink-3"}}
        hover = "trial %{customdata[0]} was stopped at step %{x}: %{y:.5g}"
        yield look.dots("stopped early", x, y, [[line.trial] for line in stopped], marker, hover)


def _bold(line: Line, colour: str) -> Json:
    told = [[line.trial]] * len(line.steps)
    hover = "trial %{customdata[0]}, step %{x}: %{y:.5g}"
    style = {"mode": "lines", "line": {"color": colour, "width": 1.8}}
    return look.dots(f"trial {line.trial}", line.steps, line.values, told, {}, hover) | style


def _labels(top: Sequence[Line], extent: tuple[float, float] | list[float]) -> list[Json]:
    """The number of each at its end, those that would lie on one another moved apart."""
    ends = sorted((float(line.values[-1]), place) for place, line in enumerate(top))
    least, height = (extent[1] - extent[0]) * 0.055, -np.inf
    found = []
    for value, place in ends:
        height = max(value, height + least)
        line, font = top[place], {"size": 10, "color": theme.colour(place)}
        found.append(theme.label(f"trial {line.trial}", float(line.steps[-1]), height, xshift=4, font=font))
    return found
