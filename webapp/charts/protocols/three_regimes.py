"""The diagram of density and temperature: the score as a heat map, each cell named by its regime."""

from __future__ import annotations

from typing import NamedTuple

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.protocols.three_regime import Knobs, Result

TITLE = "Density and temperature"
QUESTION = "In which regime does pruning leave the model, and where would more heat help?"
PROTOCOLS = ["three_regime"]


class Regimes(NamedTuple):
    """scores[d][t] and regimes[d][t]: of densities[d] and temperatures[t]."""

    metric: str
    temperature: str
    is_less_better: bool
    temperatures: list[float]
    densities: list[float]
    scores: list[list[float | None]]
    regimes: list[list[str]]


def data(result: Result, knobs: Knobs) -> Regimes:
    temperatures = sorted({cell.temperature for cell in result.cells})
    densities = sorted({cell.density for cell in result.cells})
    cells = {(cell.temperature, cell.density): cell for cell in result.cells}
    rows = [[cells.get((heat, density)) for heat in temperatures] for density in densities]
    scores = [[cell.score if cell else None for cell in row] for row in rows]
    regimes: list[list[str]] = [[cell.regime or "" if cell else "" for cell in row] for row in rows]
    less = knobs.goal == "minimize"
    return Regimes(knobs.metric, knobs.temperature, less, temperatures, densities, scores, regimes)


def figure(data: Regimes) -> Json:
    if not any(score is not None for row in data.scores for score in row):
        return look.empty("No cell of the diagram has a score yet.")
    return {
        "data": [_heat(data)],
        "layout": theme.layout(
            f"temperature: {theme.plain(data.temperature)}",
            "density, share of weights kept",
            hovermode="closest",
            xaxis=_ticks([f"{heat:g}" for heat in data.temperatures]),
            yaxis={**_ticks([f"{density:g}" for density in data.densities]), "showgrid": False},
            meta=look.caption("I: not connected", "II-A: connected, outputs differ", "II-B: connected and alike"),
        ),
    }


def _ticks(texts: list[str]) -> Json:
    return {"tickvals": list(range(len(texts))), "ticktext": texts, "range": [-0.5, len(texts) - 0.5], "ticks": ""}


def _heat(data: Regimes) -> Json:
    bar = {
        "title": {"text": theme.plain(data.metric), "side": "right"},
        "thickness": 8,
        "outlinewidth": 0,
        "ticklen": 3,
    }
    return {
        "type": "heatmap", "x": list(range(len(data.temperatures))), "y": list(range(len(data.densities))),
        "z": data.scores, "text": data.regimes, "texttemplate": "%{text}", "textfont": {"size": 11},
        "colorscale": look.SCALE, "reversescale": not data.is_less_better, "colorbar": bar, "xgap": 2, "ygap": 2,
        "hovertemplate": "%{text} %{z:.5g}<extra></extra>",
    }  # fmt: skip
