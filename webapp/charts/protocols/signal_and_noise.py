"""Signal over noise of each metric and size; a metric below the least ratio can't tell these models apart."""

from __future__ import annotations

from typing import NamedTuple

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.snr import Knobs, Result

TITLE = "Signal over noise"
QUESTION = "Which metrics tell these models apart?"
PROTOCOLS = ["snr"]


class Bar(NamedTuple):
    name: str
    ratio: float
    accuracy: float | None
    noisy: bool


class Ratios(NamedTuple):
    least: float
    bars: list[Bar]


def data(result: Result, knobs: Knobs) -> Ratios:
    bars = [
        Bar(f"{line.metric} {line.size}".strip(), line.ratio, line.decision_accuracy, line.noisy)
        for line in result.lines
        if line.ratio is not None
    ]
    return Ratios(knobs.least, sorted(bars, key=lambda bar: (-bar.ratio, bar.name)))


def figure(data: Ratios) -> Json:
    if not data.bars:
        return look.empty("No metric has two late checkpoints of two models yet.")
    told = ["" if bar.accuracy is None else f"{bar.accuracy:.0%} of pairs decided alike" for bar in data.bars]
    return {
        "data": [
            {
                "type": "bar", "orientation": "h", "x": [bar.ratio for bar in data.bars], "customdata": told,
                "y": [theme.plain(bar.name) for bar in data.bars], "width": 0.5,
                "marker": {"color": ["--ink-3/0.35" if bar.noisy else "--series-1" for bar in data.bars]},
                "hovertemplate": "%{x:.3g} %{customdata}<extra></extra>",
            }
        ],
        "layout": theme.layout(
            "signal over noise",
            hovermode="closest",
            margin={"l": 16, "r": 16, "t": 6, "b": 40},
            xaxis={"rangemode": "tozero"},
            yaxis={"autorange": "reversed", "showgrid": False, "automargin": True, "ticks": ""},
            shapes=[theme.vertical(data.least, "--bad", "dash")],
            meta=look.caption(f"grey: below the least ratio, {data.least:g}"),
        ),
    }  # fmt: skip
