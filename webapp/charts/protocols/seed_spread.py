"""How far each seed lies from the mean, in percent of it, so that metrics of different units compare."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.eval_variance import Knobs, Result

TITLE = "Spread over seeds"
QUESTION = "How much of a difference is only the seed?"
PROTOCOLS = ["eval_variance"]


class Strip(NamedTuple):
    """Percent of the mean; `low` and `high` bound the mean, None with few seeds."""

    name: str
    percents: list[float]
    seeds: list[int]
    low: float | None
    high: float | None


class Spread(NamedTuple):
    confidence: float
    strips: list[Strip]


def data(result: Result, knobs: Knobs) -> Spread:
    strips = []
    several = len({(one.sweep, one.trial) for one in result.spreads}) > 1
    for one in result.spreads:
        mine = [s for s in result.samples if (s.sweep, s.trial, s.metric) == (one.sweep, one.trial, one.metric)]
        if one.mean and mine:
            bounds = [None if bound is None else _percent(bound, one.mean) for bound in (one.low, one.high)]
            name = f"{one.metric}, trial {one.trial}" if several else one.metric
            percents = [_percent(sample.value, one.mean) for sample in mine]
            strips.append(Strip(name, percents, [sample.seed for sample in mine], bounds[0], bounds[1]))
    return Spread(knobs.confidence, strips)


def figure(data: Spread) -> Json:
    if not data.strips:
        return look.empty("No seed has a value yet.")
    rows = list(range(len(data.strips)))
    return {
        "data": [trace for row, strip in enumerate(data.strips) for trace in _traces(row, strip)],
        "layout": theme.layout(
            "percent of the mean",
            hovermode="closest",
            margin={"l": 16, "r": 16, "t": 6, "b": 40},
            xaxis={
                "showgrid": True, "gridcolor": "--rule", "ticksuffix": " %", "zeroline": True,
                "zerolinecolor": "--edge",
            },
            yaxis={
                "tickvals": rows, "ticktext": [theme.plain(strip.name) for strip in data.strips], "showgrid": False,
                "range": [len(rows) - 0.5, -0.5], "automargin": True, "ticks": "",
            },
            meta=look.caption(f"bar: {data.confidence:.0%} bootstrap interval of the mean"),
        ),
    }  # fmt: skip


def _traces(row: int, strip: Strip) -> list[Json]:
    colour = theme.colour(row)
    dots = {
        "type": "scatter", "mode": "markers", "x": strip.percents, "y": [row] * len(strip.percents),
        "customdata": strip.seeds, "marker": {"size": 7, "color": f"{colour}/0.45"},
        "hovertemplate": "seed %{customdata}: %{x:.3g} %<extra></extra>",
    }  # fmt: skip
    if strip.low is None or strip.high is None:
        return [dots]
    at = np.array([strip.low, strip.high])
    return [dots, look.line("interval", at, np.array([row + 0.22, row + 0.22]), {"color": colour, "width": 3})]


def _percent(value: float, mean: float) -> float:
    return 100 * (value - mean) / abs(mean)
