"""What the best of k trials is worth on average."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.eff_at_k import Knobs, Result

TITLE = "Best of k trials"
QUESTION = "What would fewer trials have found?"
PROTOCOLS = ["eff_at_k"]


class Line(NamedTuple):
    sweep: int
    ks: list[int]
    values: list[float]


class Bests(NamedTuple):
    metric: str
    lines: list[Line]


def data(result: Result, knobs: Knobs) -> Bests:
    sweeps = sorted({best.sweep for best in result.bests})
    found = {sweep: [(best.k, best.value) for best in result.bests if best.sweep == sweep] for sweep in sweeps}
    return Bests(knobs.metric, [Line(sweep, [k for k, _ in of], [v for _, v in of]) for sweep, of in found.items()])


def figure(data: Bests) -> Json:
    if not data.lines:
        return look.empty("No two trials differ yet.")
    ks = [k for line in data.lines for k in line.ks]
    return {
        "data": [_trace(place, line) for place, line in enumerate(data.lines)],
        "layout": theme.layout(
            "trials, k",
            f"expected best {theme.plain(data.metric)}",
            xaxis=look.log_axis(1, max(2, *ks)),
            showlegend=len(data.lines) > 1,
            meta=look.caption("exact mean over all choices of k trials; one without a value counts as the worst"),
        ),
    }


def _trace(place: int, line: Line) -> Json:
    colour = theme.colour(place)
    trace = look.line(
        f"sweep {line.sweep}", np.array(line.ks), np.array(line.values), {"color": colour, "width": 1.7},
        "%{y:.5g} of %{x}",
    )  # fmt: skip
    return trace | {"mode": "lines+markers", "marker": {"size": 6, "color": colour}}
