"""The one look of every figure: no box, horizontal hairlines, axis titles with units, nothing that is not ink."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

Json = dict[str, Any]
SERIES = [f"--series-{number}" for number in range(1, 9)]
CLEAR = "rgba(0,0,0,0)"
_SMALL = {"font": {"size": 10}}
_TITLE = {"font": {"size": 11, "color": "--ink-3"}}

TEMPLATE: Json = {
    "layout": {
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": "--font-text", "size": 11, "color": "--ink-2"},
        "colorway": SERIES,
        "margin": {"l": 54, "r": 16, "t": 6, "b": 40},
        "showlegend": False,
        "hovermode": "x unified",
        "hoverlabel": {
            "bgcolor": "--surface",
            "bordercolor": "--rule",
            "font": {"family": "--font-data", "size": 11, "color": "--ink"},
        },
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "normal", **_SMALL},
        "xaxis": {
            "title": {**_TITLE, "standoff": 8},
            "showgrid": False,
            "zeroline": False,
            "linecolor": "--rule",
            "ticks": "outside",
            "ticklen": 4,
            "tickcolor": "--rule",
        },
        "yaxis": {
            "title": {**_TITLE, "standoff": 4},
            "gridcolor": "--rule",
            "gridwidth": 1,
            "zeroline": False,
            "exponentformat": "power",
            "ticklabelstandoff": 4,
            "tickcolor": "--rule",
        },
    }
}


def colour(index: int) -> str:
    """Of the series in that place; after eight they come again."""
    return SERIES[index % len(SERIES)]


def layout(x: str, y: str = "", **more: Any) -> Json:
    """A layout with titles for its axes; `xaxis`, `yaxis` and whatever else in `more` add to it."""
    return {
        "template": TEMPLATE,
        **more,
        "xaxis": {"title": {"text": x}, **more.get("xaxis", {})},
        "yaxis": {"title": {"text": y}, **more.get("yaxis", {})},
    }


def vertical(x: float, color: str, dash: str = "dot") -> Json:
    """A line from bottom to top: something happened there."""
    line = {"color": color, "width": 1, "dash": dash}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": line}


def label(text: str, x: float, y: float | str, **more: Any) -> Json:
    """Words beside what they name."""
    return {"text": plain(text), "x": x, "y": y, "showarrow": False, "xanchor": "left", **_SMALL, **more}


def plain(text: str) -> str:
    """For every text that people choose: Plotly takes tags in text for markup."""
    return escape(text, quote=False)


def numbers(values: NDArray[Any]) -> list[Any]:
    """A list for JSON; what is not finite is None, which Plotly leaves out as a gap."""
    if np.isfinite(values).all():
        return list(values.tolist())
    return [value if np.isfinite(value) else None for value in values.tolist()]
