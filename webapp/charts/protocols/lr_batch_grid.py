"""The loss over learning rate and batch size as a heat map, its optimum and Step Law's marked."""

from __future__ import annotations

import math
from typing import NamedTuple

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.lr_batch_grid import Knobs, Result

TITLE = "Learning rate and batch size"
QUESTION = "Where is the optimum, and how flat is it around it?"
PROTOCOLS = ["lr_batch_grid"]
SYMBOLS = {"grid": "circle-open", "step law": "x-thin"}


class Mark(NamedTuple):
    source: str
    lr: float
    batch: float


class Grid(NamedTuple):
    """losses[b][r]: of batches[b] and rates[r]; None where nothing was measured."""

    metric: str
    rates: list[float]
    batches: list[int]
    losses: list[list[float | None]]
    marks: list[Mark]


def data(result: Result, knobs: Knobs) -> Grid:
    rates = sorted({cell.lr for cell in result.cells})
    batches = sorted({cell.batch for cell in result.cells})
    known = {(cell.lr, cell.batch): cell.loss for cell in result.cells}
    losses = [[known.get((rate, batch)) for rate in rates] for batch in batches]
    return Grid(knobs.metric, rates, batches, losses, [Mark(o.source, o.lr, o.batch) for o in result.optima])


def figure(data: Grid) -> Json:
    if not any(loss is not None for row in data.losses for loss in row):
        return look.empty("No cell of the grid has a loss yet.")
    return {
        "data": [_heat(data), *(_mark(data, mark) for mark in data.marks)],
        "layout": theme.layout(
            "learning rate",
            "batch size, samples",
            hovermode="closest",
            xaxis=_ticks([look.amount(rate) for rate in data.rates]),
            yaxis={**_ticks([f"{batch:,}" for batch in data.batches]), "showgrid": False},
            meta=look.caption("circle: best cell", "cross: Step Law's prediction, at the rim when it is off the grid"),
        ),
    }


def _ticks(texts: list[str]) -> Json:
    """Cells stand side by side whatever their values: grids are even in logarithms, and may be uneven."""
    return {"tickvals": list(range(len(texts))), "ticktext": texts, "range": [-0.5, len(texts) - 0.5], "ticks": ""}


def _heat(data: Grid) -> Json:
    texts = [["" if loss is None else f"{loss:.4g}" for loss in row] for row in data.losses]
    bar = {
        "title": {"text": theme.plain(data.metric), "side": "right"},
        "thickness": 8,
        "outlinewidth": 0,
        "ticklen": 3,
    }
    return {
        "type": "heatmap", "x": list(range(len(data.rates))), "y": list(range(len(data.batches))), "z": data.losses,
        "text": texts, "texttemplate": "%{text}", "textfont": {"size": 10}, "colorscale": look.SCALE, "colorbar": bar,
        "xgap": 2, "ygap": 2, "hovertemplate": "%{z:.5g}<extra></extra>",
    }  # fmt: skip


def _mark(data: Grid, mark: Mark) -> Json:
    x, y = _place(mark.lr, data.rates), _place(mark.batch, [float(batch) for batch in data.batches])
    symbol = {"size": 26 if mark.source == "grid" else 13, "symbol": SYMBOLS[mark.source], "color": "--ink"}
    return {
        "type": "scatter", "mode": "markers", "x": [x], "y": [y], "name": mark.source,
        "marker": {**symbol, "line": {"width": 2, "color": "--ink"}},
        "hovertemplate": f"{mark.source}: lr {mark.lr:.3g}, batch {mark.batch:.3g}<extra></extra>",
    }  # fmt: skip


def _place(value: float, grid: list[float]) -> float:
    """Between cells by logarithm; beyond them at the rim."""
    if value <= grid[0] or value >= grid[-1]:
        inside = grid[0] == value or grid[-1] == value
        end = 0.0 if value <= grid[0] else len(grid) - 1.0
        return end if inside else end + (-0.45 if value < grid[0] else 0.45)
    right = next(place for place, one in enumerate(grid) if one > value)
    return right - 1 + math.log(value / grid[right - 1]) / math.log(grid[right] / grid[right - 1])
