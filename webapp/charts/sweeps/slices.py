"""The value against each knob, one beside the other; later trials are darker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import knobs, look, trials
from webapp.charts.sweeps.knobs import Knob
from webapp.charts.sweeps.options import Option, objectives, option
from webapp.charts.sweeps.trials import Trials
from webapp.charts.theme import Json
from webapp.metrics.points import Float64, Int64
from webapp.sweeps.definition import Definition, Space
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import definition

PLACE = 40
TITLE = "Slices"
QUESTION = "Which values of a knob are good?"
IS_WIDE = True
ALL = "all"
MOST_SLICES = 6  # side by side
MOST_DOTS = 2000  # in all slices together
GAP = 0.03
LATER_IS_DARKER = [[0, "--series-3/0.25"], [1, "--series-3/0.9"]]


class Slices(NamedTuple):
    """`numbers`, `values` and each knob are (n,), by number of the trial; `shown` are places among them."""

    metric: str
    goal: float
    numbers: Int64
    values: Float64
    knobs: list[Knob]
    shown: Int64


def applies(definition: Definition) -> bool:
    return True


def options(sweep: Sweep) -> list[Option]:
    checked = definition(sweep)
    paths = list(checked.search.space)
    whole = [(ALL, "all knobs")] if 1 < len(paths) <= MOST_SLICES else []
    return [option("knob", "knob", [*whole, *((path, path) for path in paths)]), *objectives(checked)]


def data(sweep: Sweep, knob: str = ALL, objective: str = "0") -> Slices:
    checked, place = definition(sweep), int(objective)
    space = {path: each for path, each in checked.search.space.items() if knob in (ALL, path)}
    return of(trials.read(sweep), space, checked.objective[place].metric, look.goal(checked, place), place)


def of(found: Trials, space: Space, metric: str, goal: float, objective: int = 0) -> Slices:
    found = found.take(found.has_succeeded)
    values = found.values[:, objective]
    best = [int(np.argmin(goal * values))] if len(values) else []
    shown = trials.thinned(len(values), MOST_DOTS // len(space), best)
    each = [knobs.knob(path, dimension, found.params) for path, dimension in space.items()]
    return Slices(metric, goal, found.numbers, values, each, shown)


def figure(data: Slices) -> Json:
    if not len(data.values):
        return look.empty("No trial has succeeded yet.")
    _, extent = look.rim(data.values, data.goal)
    return {
        "data": [trace for place, knob in enumerate(data.knobs) for trace in _traces(data, knob, place)],
        "layout": theme.layout(
            "",
            theme.plain(data.metric),
            hovermode="closest",
            margin={"l": 54, "r": 16, "t": 18, "b": 40},
            annotations=list(_off_labels(data)),
            meta=look.caption("later trials are darker", look.few_of(len(data.shown), len(data.values))),
            **_axes(data.knobs),
        )
        | {"yaxis": {"title": {"text": theme.plain(data.metric)}, "range": extent}},
    }


def _axes(each: Sequence[Knob]) -> Json:
    width = (1 + GAP) / len(each)
    domains = [[place * width, (place + 1) * width - GAP] for place in range(len(each))]
    return {
        f"xaxis{_suffix(place)}": {
            "title": {"text": theme.plain(knob.path)}, "domain": domains[place], "anchor": "y", "nticks": 6,
            **knobs.axis(knob, few=len(each) > 2),
        }
        for place, knob in enumerate(each)
    }  # fmt: skip


def _suffix(place: int) -> str:
    return "" if place == 0 else str(place + 1)


def _traces(data: Slices, knob: Knob, place: int) -> Iterator[Json]:
    """Values far off are drawn at the rim."""
    rim, _ = look.rim(data.values, data.goal)
    chosen = data.shown[knob.is_active[data.shown]]
    is_far = data.goal * data.values > data.goal * look.limit(data.values, data.goal)
    y, x, words = np.where(is_far, rim, data.values), knobs.drawn(knob), list(map(theme.plain, knobs.words(knob)))
    hover = f"trial %{{customdata[0]}}: %{{customdata[2]}} at {theme.plain(knob.path)} = %{{customdata[1]}}"
    marker = {"size": 5, "color": data.numbers[chosen].tolist(), "colorscale": LATER_IS_DARKER, "showscale": False}
    where = {"xaxis": f"x{_suffix(place)}"}
    told = [[int(data.numbers[i]), words[i], f"{data.values[i]:.5g}"] for i in chosen]
    yield look.dots(theme.plain(knob.path), x[chosen], y[chosen], told, marker, hover) | where
    best = int(np.argmin(data.goal * data.values))
    if knob.is_active[best]:
        told = [[int(data.numbers[best]), words[best], f"{data.values[best]:.5g}"]]
        top = {"size": 9, "symbol": "diamond", "color": "--accent"}
        yield look.dots("best", x[[best]], y[[best]], told, top, f"the best: {hover}") | where


def _off_labels(data: Slices) -> Iterator[Json]:
    for place, knob in enumerate(data.knobs):
        off = int((~knob.is_active).sum())
        if off:
            where = {"xref": f"x{_suffix(place)} domain", "yref": "paper", "xanchor": "right", "yanchor": "bottom"}
            yield theme.label(f"off in {off:,} of {len(data.values):,}", 1, 1, **where)
