"""Merged models' score over their experts', by method and number of experts."""

from __future__ import annotations

from typing import NamedTuple

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.measures.reading import mean
from webapp.sweeps.protocols.merge_grid import Knobs, Result

TITLE = "Merged over expert"
QUESTION = "How much of its experts does a merged model keep?"
PROTOCOLS = ["merge_grid"]


class Grid(NamedTuple):
    """values[m][e]: the mean over held-in tasks of methods[m] with experts[e] experts."""

    methods: list[str]
    experts: list[int]
    values: list[list[float | None]]


def data(result: Result, knobs: Knobs) -> Grid:
    """Sizes and qualities apart: one row each."""
    groups: dict[tuple[str, int], list[float]] = {}
    names, counts = set(), set()
    for cell in result.cells:
        name = " ".join(filter(None, [cell.method, cell.size, cell.quality]))
        names.add(name)
        counts.add(cell.experts)
        if cell.held_in and cell.normalised is not None:
            groups.setdefault((name, cell.experts), []).append(cell.normalised)
    methods, experts = sorted(names), sorted(counts)
    return Grid(methods, experts, [[mean(groups.get((name, count), [])) for count in experts] for name in methods])


def figure(data: Grid) -> Json:
    if not any(value is not None for row in data.values for value in row):
        return look.empty("No merged model can be compared with its experts yet.")
    texts = [["" if value is None else f"{value:.0%}" for value in row] for row in data.values]
    heat = {
        "type": "heatmap", "x": [str(count) for count in data.experts], "y": [theme.plain(n) for n in data.methods],
        "z": data.values, "text": texts, "texttemplate": "%{text}", "colorscale": look.SCALE, "reversescale": True,
        "xgap": 2, "ygap": 2, "showscale": False, "hovertemplate": "%{z:.1%}<extra></extra>",
    }  # fmt: skip
    axis = {"type": "category", "ticks": "", "showgrid": False}
    layout = theme.layout(
        "experts merged", hovermode="closest", xaxis=axis, yaxis={**axis, "automargin": True},
        meta=look.caption("mean over held-in tasks, 100 % is the expert"),
    )  # fmt: skip
    return {"data": [heat], "layout": layout}
