"""How alike runs prune: a heat map of runs by runs, and one of layers by pairs of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.comparison.masks import Overlap

MOST_PAIRS = 15  # of which layers are drawn: six runs


class Heat(NamedTuple):
    """values[r][c]: the overlap at rows[r] and columns[c]; None where no layer counts."""

    rows: list[str]
    columns: list[str]
    values: list[list[float | None]]
    about: str


def whole(overlap: Overlap, names: Mapping[int, str]) -> Heat:
    """Runs by runs, over all layers that both pruned; a run with itself is 1."""
    numbers = [kept.run for kept in overlap.runs]
    told = {(pair.one, pair.other): pair.overlap for pair in overlap.pairs}
    known = told | {(other, one): value for (one, other), value in told.items()} | {(one, one): 1.0 for one in numbers}
    labels = [names[number] for number in numbers]
    chances = [pair.chance for pair in overlap.pairs if pair.chance is not None]
    about = f"by chance {min(chances):.2f} to {max(chances):.2f}" if chances else ""
    return Heat(labels, labels, [[known[one, other] for other in numbers] for one in numbers], about)


def layers(overlap: Overlap) -> Heat:
    """Layers by pairs; nothing where there are too many pairs to be read."""
    pairs = overlap.pairs if len(overlap.pairs) <= MOST_PAIRS else []
    told = [{layer.name: layer.overlap for layer in pair.layers} for pair in pairs]
    names = list(dict.fromkeys(layer.name for pair in pairs for layer in pair.layers))
    columns = [f"{pair.one} and {pair.other}" for pair in pairs]
    return Heat(names, columns, [[found.get(name) for found in told] for name in names], "")


def figure(data: Heat, across: str = "") -> Json:
    if not any(value is not None for row in data.values for value in row):
        return look.empty("No two runs here have pruned a layer of the same name and shape.")
    texts = [["" if value is None else f"{value:.2f}" for value in row] for row in data.values]
    heat = {
        "type": "heatmap", "x": [theme.plain(name) for name in data.columns], "y": list(map(theme.plain, data.rows)),
        "z": data.values, "zmin": 0, "zmax": 1, "text": texts, "texttemplate": "%{text}", "colorscale": look.SCALE,
        "reversescale": True, "xgap": 2, "ygap": 2, "showscale": False,
        "hovertemplate": "%{y}, %{x}: %{z:.4f}<extra></extra>",
    }  # fmt: skip
    axis = {"type": "category", "ticks": "", "showgrid": False, "automargin": True}
    layout = theme.layout(
        across, hovermode="closest", xaxis=axis, yaxis={**axis, "autorange": "reversed"},
        meta=look.caption("kept by both, of what either kept", data.about),
    )  # fmt: skip
    return {"data": [heat], "layout": layout}
