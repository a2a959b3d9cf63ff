"""The final loss over the learning rate, one line a model size, clipped at the loss of initialisation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.lr_sensitivity import Knobs, Result

TITLE = "Loss over learning rate"
QUESTION = "How much does a wrong learning rate cost, and does it cost larger models more?"
PROTOCOLS = ["lr_sensitivity"]


class Line(NamedTuple):
    size: str
    sensitivity: float | None
    initial: float | None
    rates: list[float]
    losses: list[float]
    diverged: list[bool]


class Sensitivity(NamedTuple):
    metric: str
    lines: list[Line]


def data(result: Result, knobs: Knobs) -> Sensitivity:
    lines = []
    for curve in result.curves:
        points = [(p.lr, p.clipped, p.diverged > 0) for p in result.points if p.size == curve.size]
        known = [(lr, loss, fell) for lr, loss, fell in sorted(points) if loss is not None]
        rates, losses, diverged = ([item[k] for item in known] for k in range(3))
        lines.append(Line(curve.size, curve.sensitivity, curve.initial, rates, losses, diverged))  # type: ignore[arg-type]
    return Sensitivity(knobs.metric, [line for line in lines if line.rates])


def figure(data: Sensitivity) -> Json:
    if not data.lines:
        return look.empty("No learning rate has a loss yet.")
    rates = [rate for line in data.lines for rate in line.rates]
    return {
        "data": [_trace(place, line) for place, line in enumerate(data.lines)],
        "layout": theme.layout(
            "learning rate",
            theme.plain(data.metric),
            xaxis=look.log_axis(min(rates), max(rates)),
            shapes=[shape for place, line in enumerate(data.lines) for shape in _initial(place, line)],
            showlegend=True,
            margin={"l": 54, "r": 16, "t": 26, "b": 40},
            meta=look.caption("S: mean excess over the best rate", "dotted: loss at initialisation", "open: diverged"),
        ),
    }


def _trace(place: int, line: Line) -> Json:
    told = "" if line.sensitivity is None else f" · S {line.sensitivity:.3g}"
    colour = theme.colour(place)
    symbols = ["circle-open" if fell else "circle" for fell in line.diverged]
    trace = look.line(
        theme.plain(line.size) + told, np.array(line.rates), np.array(line.losses), {"color": colour, "width": 1.7},
        "%{y:.4g}",
    )  # fmt: skip
    return trace | {"mode": "lines+markers", "marker": {"size": 7, "color": colour, "symbol": symbols}}


def _initial(place: int, line: Line) -> list[Json]:
    if line.initial is None:
        return []
    style = {"color": f"{theme.colour(place)}/0.5", "width": 1, "dash": "dot"}
    return [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": line.initial, "y1": line.initial, "line": style}]
