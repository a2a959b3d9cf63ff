"""Each sampler's winner on the seeds that chose it and on the seeds that did not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.sweeps.protocols.tune_test_seeds import Knobs, Result

TITLE = "Tuned and tested"
QUESTION = "Does the winner hold up on seeds that did not choose it?"
PROTOCOLS = ["tune_test_seeds"]


class Pair(NamedTuple):
    sampler: str
    tuned: float
    tested: float | None
    low: float | None
    high: float | None


class Pairs(NamedTuple):
    metric: str
    pairs: list[Pair]


def data(result: Result, knobs: Knobs) -> Pairs:
    return Pairs(
        knobs.metric, [Pair(one.sampler, one.tuned, one.tested, one.low, one.high) for one in result.standings]
    )


def figure(data: Pairs) -> Json:
    if not data.pairs:
        return look.empty("No sampler has a winner yet.")
    rows = np.arange(len(data.pairs), dtype=float)
    tuned = np.array([pair.tuned for pair in data.pairs])
    tested = np.array([np.nan if pair.tested is None else pair.tested for pair in data.pairs])
    gaps = look.joined((np.array([a, b]), np.array([row, row])) for a, b, row in zip(tuned, tested, rows, strict=True))
    return {
        "data": [
            look.line("gap", *gaps, {"color": "--ink-3", "width": 1}, showlegend=False),
            _dots("tuning seeds", tuned, rows, "--series-1"),
            _dots("test seeds", tested, rows, "--series-2") | {"error_x": _bars(data.pairs, tested)},
        ],
        "layout": theme.layout(
            theme.plain(data.metric),
            hovermode="closest",
            showlegend=True,
            margin={"l": 16, "r": 16, "t": 26, "b": 40},
            xaxis={"showgrid": True, "gridcolor": "--rule"},
            yaxis={
                "tickvals": rows.tolist(), "ticktext": [theme.plain(pair.sampler) for pair in data.pairs],
                "range": [len(rows) - 0.5, -0.5], "showgrid": False, "automargin": True, "ticks": "",
            },
            meta=look.caption("means over seeds, the best tuned first", "bar: interval of the tested mean"),
        ),
    }  # fmt: skip


def _dots(name: str, x: Float64, y: Float64, colour: str) -> Json:
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": theme.numbers(x), "y": theme.numbers(y),
        "marker": {"size": 9, "color": colour}, "hovertemplate": f"{name}: %{{x:.5g}}<extra></extra>",
    }  # fmt: skip


def _bars(pairs: list[Pair], tested: Float64) -> Json:
    """Where there are seeds enough for an interval."""
    high = np.array([np.nan if pair.high is None else pair.high for pair in pairs]) - tested
    low = tested - np.array([np.nan if pair.low is None else pair.low for pair in pairs])
    sizes = {"array": theme.numbers(high), "arrayminus": theme.numbers(low), "symmetric": False}
    return {"type": "data", "thickness": 1.4, "width": 4, "color": "--series-2", **sizes}
