"""Histograms of a run: the bars of one step, or all steps as a map of where the values lay."""

from __future__ import annotations

import numpy as np

from webapp.charts import theme
from webapp.charts.theme import Json
from webapp.metrics.media.items import Histogram
from webapp.metrics.media.queries import Spread

SCALE = [[0, "--sunken"], [0.001, "--accent/0.16"], [0.35, "--accent/0.55"], [1, "--accent"]]


def bars(data: Histogram) -> Json:
    """Each bin as wide as it is."""
    left, right = data.edges[:-1], data.edges[1:]
    trace = {
        "type": "bar",
        "x": theme.numbers(left),
        "width": theme.numbers(right - left),
        "offset": 0,
        "y": theme.numbers(data.counts),
        "customdata": np.stack([left, right], axis=1).tolist(),
        "marker": {"color": "--series-1", "line": {"width": 0}},
        "hovertemplate": "%{customdata[0]:.4g} to %{customdata[1]:.4g}: %{y:,.6g}<extra></extra>",
    }
    y = {"rangemode": "tozero", "fixedrange": True}
    layout = theme.layout("value", "count", hovermode="closest", bargap=0, dragmode="zoom", yaxis=y)
    return {"data": [trace], "layout": layout}


def over_time(data: Spread) -> Json:
    """Columns are steps; a column's colours are shares of its own count, so that a step with more values hides none."""
    if not len(data.steps):
        return {"data": [], "layout": theme.layout("step", "value")}
    total = data.counts.sum(axis=0)
    shares = data.counts / np.where(total > 0, total, 1)
    trace = {
        "type": "heatmap",
        "x": theme.numbers(data.steps),
        "y": theme.numbers((data.edges[:-1] + data.edges[1:]) / 2),
        "z": [theme.numbers(row) for row in shares],
        "zmin": 0,
        "colorscale": SCALE,
        "showscale": False,
        "hovertemplate": "step %{x:,}, about %{y:.4g}: %{z:.1%}<extra></extra>",
    }
    axes = {"xaxis": {"type": "linear"}, "yaxis": {"showgrid": False, "fixedrange": True}}
    return {"data": [trace], "layout": theme.layout("step", "value", hovermode="closest", dragmode="zoom", **axes)}
