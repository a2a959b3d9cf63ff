"""Which share of the full score each dimension reaches, and the smallest that reaches enough."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.d90 import Knobs, Result

TITLE = "Share of the full score"
QUESTION = "How small may the dimension be?"
PROTOCOLS = ["d90"]


class Search(NamedTuple):
    knob: str
    needed: float
    dimensions: list[int]
    shares: list[float]
    found: int | None
    next: list[int]


def data(result: Result, knobs: Knobs) -> Search:
    points = [(point.dimension, point.share) for point in result.points if point.share is not None]
    dimensions, shares = [point[0] for point in points], [point[1] for point in points]
    return Search(knobs.knob, knobs.share, dimensions, shares, result.found, result.next)


def figure(data: Search) -> Json:
    if not data.dimensions:
        return look.empty("No dimension can be compared with all weights yet.")
    x, y = np.array(data.dimensions), np.array(data.shares)
    line = look.line("", x, y, {"color": "--series-1", "width": 1.7}, "%{y:.1%} at %{x:,}")
    target = {"color": "--ink-3", "width": 1, "dash": "dot"}
    shape = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": data.needed, "y1": data.needed, "line": target}
    found = [] if data.found is None else [theme.vertical(data.found, "--accent")]
    told = "not found" if data.found is None else f"reached at {data.found:,}"
    return {
        "data": [line | {"mode": "lines+markers", "marker": {"size": 7, "color": "--series-1"}}],
        "layout": theme.layout(
            theme.plain(data.knob),
            "share of the full score",
            xaxis=look.log_axis(int(x.min()), int(x.max())),
            yaxis={"tickformat": ".0%", "range": [min(0.0, float(y.min())), 1.05 * max(1.0, float(y.max()))]},
            shapes=[shape, *found],
            meta=look.caption(told, *(f"bisection tries {value:,} next" for value in data.next)),
        ),
    }
