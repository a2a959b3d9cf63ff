"""The best value so far against trials, GPU-hours, FLOPs or hours: what the search has got for what it has spent."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look, trials
from webapp.charts.sweeps.options import Option, objectives, option
from webapp.charts.sweeps.spending import spent_at
from webapp.charts.sweeps.trials import Trials
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import definition
from webapp.sweeps.states import TrialStatus

PLACE = 10
TITLE = "Best so far"
QUESTION = "Is it still getting better?"
AXES = {"trial": "trial", "gpu_hours": "GPU-hours", "flops": "FLOPs", "hours": "hours since the start"}
MOST_DOTS = 1000


class BestSoFar(NamedTuple):
    """`x` (n,) is NaN where a trial is not over; `best` is the place of the best trial among them."""

    metric: str
    goal: float
    x_axis: str
    trials: Trials
    x: Float64
    y: Float64
    stairs_x: Float64
    stairs_y: Float64
    best: int | None


def applies(definition: Definition) -> bool:
    return True


def options(sweep: Sweep) -> list[Option]:
    return [option("x", "against", AXES.items()), *objectives(definition(sweep))]


def data(sweep: Sweep, x: str = "trial", objective: str = "0") -> BestSoFar:
    found, checked = trials.read(sweep, params=False), definition(sweep)
    place = int(objective)
    ended = found.ended - sweep.created_at.timestamp()
    positions = found.numbers.astype(float) if x == "trial" else spent_at(sweep, ended, x)
    return of(found, positions, checked.objective[place].metric, look.goal(checked, place), x, place)


def of(found: Trials, x: Float64, metric: str, goal: float, x_axis: str = "trial", objective: int = 0) -> BestSoFar:
    """Only trials that succeeded are steps of the stairs: a value of a stopped one is not at its end."""
    y = found.values[:, objective]
    counted = np.flatnonzero(found.has_succeeded & np.isfinite(x))
    counted = counted[np.argsort(x[counted], kind="stable")]
    best_y = np.minimum.accumulate(goal * y[counted]) * goal if len(counted) else np.empty(0)
    best = int(counted[np.argmin(goal * y[counted])]) if len(counted) else None
    stairs_x, end = x[counted], np.nanmax(x, initial=-np.inf)
    if len(counted) and end > stairs_x[-1]:
        stairs_x, best_y = np.append(stairs_x, end), np.append(best_y, best_y[-1])
    return BestSoFar(metric, goal, x_axis, found, x, y, stairs_x, best_y, best)


def figure(data: BestSoFar) -> Json:
    if data.best is None:
        return look.empty(f"No trial {'' if data.x_axis == 'trial' else 'with runs of its own '}has succeeded yet.")
    rim, extent = look.rim(data.y[data.trials.has_succeeded], data.goal)
    shown = trials.thinned(len(data.x), MOST_DOTS, [data.best])
    return {
        "data": [*_dots(data, shown, rim), _stairs(data), _top(data, data.best)],
        "layout": theme.layout(
            AXES[data.x_axis],
            theme.plain(data.metric),
            hovermode="closest",
            showlegend=True,
            yaxis={"range": extent},
            annotations=[_label(data, data.best)],
            margin={"l": 54, "r": 24, "t": 24, "b": 40},
            meta=look.caption(look.few_of(len(shown), len(data.x))),
            uirevision=data.x_axis,
        ),
    }


def _dots(data: BestSoFar, shown: Any, rim: float) -> list[Json]:
    """One trace a state; failed trials, and values far off, stand at the rim."""
    found, x, y = data.trials.take(shown), data.x[shown], data.y[shown]
    is_done, is_bad = found.statuses == TrialStatus.SUCCEEDED, found.is_bad
    is_far = np.isfinite(y) & (data.goal * y > data.goal * look.limit(data.y[data.trials.has_succeeded], data.goal))
    drawn = np.where(is_far | is_bad, rim, y)
    groups = [
        ("succeeded", is_done & ~is_far, look.DOT),
        ("stopped early", (found.statuses == TrialStatus.STOPPED) & np.isfinite(y) & ~is_far, look.HOLLOW),
        ("far off", is_far & ~is_bad, look.BEYOND),
        ("failed", is_bad, look.CROSS),
    ]
    told = [[int(n), status.replace("_", " "), value] for n, status, value in _told(found, y)]
    hover = "trial %{customdata[0]}: %{customdata[1]}, %{customdata[2]}"
    return [
        look.dots(name, x[chosen], drawn[chosen], [told[i] for i in np.flatnonzero(chosen)], marker, hover)
        for name, chosen, marker in groups
        if chosen.any()
    ]


def _told(found: Trials, y: Float64) -> Any:
    words = [f"{value:.5g}" if np.isfinite(value) else "no value" for value in y]
    return zip(found.numbers, found.statuses.tolist(), words, strict=True)


def _stairs(data: BestSoFar) -> Json:
    """Only its corners: what lies between two of them says nothing."""
    changes = np.flatnonzero(np.diff(data.stairs_y)) + 1
    corners = np.unique(np.concatenate([[0], changes, [len(data.stairs_x) - 1]]))
    return {
        "type": "scatter", "mode": "lines", "name": "best so far", "hoverinfo": "skip",
        "line": {"color": "--accent", "width": 2, "shape": "hv"},
        "x": theme.numbers(data.stairs_x[corners]), "y": theme.numbers(data.stairs_y[corners]),
    }  # fmt: skip


def _top(data: BestSoFar, best: int) -> Json:
    told = [[int(data.trials.numbers[best]), f"{data.y[best]:.5g}"]]
    marker = {"size": 9, "symbol": "diamond", "color": "--accent"}
    hover = "the best: trial %{customdata[0]}, %{customdata[1]}"
    return look.dots("best", data.x[[best]], data.y[[best]], told, marker, hover) | {"showlegend": False}


def _label(data: BestSoFar, best: int) -> Json:
    """Beside the best, towards the middle and the better side, where nothing else is."""
    x, y = float(data.x[best]), float(data.y[best])
    is_right = x > (np.nanmin(data.x) + np.nanmax(data.x)) / 2
    side = {"xanchor": "right", "xshift": -8} if is_right else {"xanchor": "left", "xshift": 8}
    text = f"{y:.4g} · trial {data.trials.numbers[best]}"
    return theme.label(text, x, y, yshift=-9 * data.goal, font={"size": 11, "color": "--accent"}, **side)
