"""Throughput against peak memory of each run, by method."""

from __future__ import annotations

from typing import NamedTuple

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.efficiency_metrics import Knobs, Result

TITLE = "Throughput and memory"
QUESTION = "What does each method cost in time and memory?"
PROTOCOLS = ["efficiency_metrics"]
MIB = 2**20


class Dot(NamedTuple):
    run: int
    peak_mib: float
    tokens_per_second: float


class Efficiency(NamedTuple):
    methods: dict[str, list[Dot]]


def data(result: Result, knobs: Knobs) -> Efficiency:
    methods: dict[str, list[Dot]] = {}
    for line in result.lines:
        if line.peak_memory_bytes and line.tokens_per_second:
            dot = Dot(line.run, line.peak_memory_bytes / MIB, line.tokens_per_second)
            methods.setdefault(line.method, []).append(dot)
    return Efficiency(methods)


def figure(data: Efficiency) -> Json:
    if not data.methods:
        return look.empty("No run has told both its memory and its speed yet.")
    traces = [_trace(place, name, dots) for place, (name, dots) in enumerate(data.methods.items())]
    layout = theme.layout(
        "peak memory, MiB", "tokens per second", hovermode="closest", showlegend=True,
        xaxis={"rangemode": "tozero"}, yaxis={"rangemode": "tozero"}, margin={"l": 60, "r": 16, "t": 26, "b": 40},
        meta=look.caption("one point a run; left and up is better"),
    )  # fmt: skip
    return {"data": traces, "layout": layout}


def _trace(place: int, name: str, dots: list[Dot]) -> Json:
    return {
        "type": "scatter", "mode": "markers", "name": theme.plain(name), "x": [dot.peak_mib for dot in dots],
        "y": [dot.tokens_per_second for dot in dots], "customdata": [dot.run for dot in dots],
        "marker": {"size": 9, "color": theme.colour(place)},
        "hovertemplate": "run %{customdata}: %{x:,.0f} MiB, %{y:,.0f} tokens/s<extra></extra>",
    }  # fmt: skip
