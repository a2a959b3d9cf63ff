"""What the charts of sweeps share in their looks: the empty figure, the caption, the rim, the words for states."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webapp.charts import theme
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.sweeps.definition import Definition, sign

DOT = {"size": 5, "color": "--ink-3/0.55"}
HOLLOW = {"size": 6, "symbol": "circle-open", "color": "--ink-3"}
CROSS = {"size": 6, "symbol": "x-thin", "color": "--bad", "line": {"width": 1.4, "color": "--bad"}}
BEYOND = {"size": 6, "symbol": "triangle-up-open", "color": "--ink-3"}
SCALE = [[0, "--accent"], [0.35, "--series-7"], [1, "--rule"]]  # from the best to the worst
FAR = 3.0  # what is worse than the upper quartile by so many times its distance to the best is drawn at the rim


def empty(sentence: str) -> Json:
    """A figure that says why there is nothing to see. It has a trace, or a page would hide it."""
    note = theme.label(sentence, 0.5, 0.5, xref="paper", yref="paper", xanchor="center", font={"size": 12})
    hidden = {"visible": False}
    layout = theme.layout("", annotations=[note], xaxis=hidden, yaxis=hidden, meta=caption())
    return {"data": [{"type": "scatter", "x": [], "y": [], "hoverinfo": "skip"}], "layout": layout}


def caption(*parts: str) -> Json:
    """For `layout.meta`; a page shows it as text, so no markup is escaped."""
    return {"caption": " · ".join(part for part in parts if part)}


def few_of(shown: int, count: int, noun: str = "trials") -> str:
    return f"{shown:,} of {count:,} {noun} drawn" if shown < count else ""


def goal(definition: Definition, objective: int) -> float:
    """1 where less of that objective is better, -1 where more is."""
    return sign(definition.objective[objective])


def limit(values: Float64, turned: float) -> float:
    """The worst value that is drawn where it lies; `values` are finite and at least one, `turned` as in `goal`."""
    worse = turned * values
    best, quartile, worst = np.quantile(worse, [0, 0.75, 1])
    return float(turned * min(worst, quartile + FAR * (quartile - best)))


def rim(values: Float64, turned: float) -> tuple[float, list[float]]:
    """Where on the value's axis failed and far trials stand, and that axis' range. Good is never beyond an end."""
    best, worst = float((turned * values).min() * turned), limit(values, turned)
    span = abs(worst - best) or abs(best) or 1.0
    return worst + turned * 0.07 * span, sorted([best - turned * 0.06 * span, worst + turned * 0.12 * span])


def colour_bar(metric: str) -> Json:
    title = {"text": theme.plain(metric), "side": "right", "font": {"size": 11, "color": "--ink-3"}}
    return {"title": title, "thickness": 8, "outlinewidth": 0, "ticklen": 3}


def log_axis(low: float, high: float, few: bool = False) -> Json:
    """Ticks at powers of ten, or where there would be too few of these at some multiples: Plotly's are hard to read."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        values = [factor * 10.0**power for power in powers for factor in factors]
        if sum(low <= value <= high for value in values) >= (2 if few else 4):
            break
    else:
        if not any(low <= value <= high for value in values):  # a narrow range, like that of equal budgets
            values = list(dict.fromkeys(float(f"{value:.3g}") for value in np.linspace(low, high, 4)))
    return {"type": "log", "tickvals": values, "ticktext": [amount(value) for value in values]}


def amount(value: float) -> str:
    """Like 0.002, 20k or 5M."""
    for letter, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if size <= abs(value) < 1000 * size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def dots(name: str, x: NDArray[Any], y: NDArray[Any], told: list[list[Any]], marker: Json, hover: str) -> Json:
    """Points that are trials. `told[i]`: the trial's number, then whatever `hover` names."""
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": theme.numbers(x), "y": theme.numbers(y),
        "marker": marker, "customdata": told, "hovertemplate": f"{hover}<extra></extra>", "meta": {"points": "trials"},
    }  # fmt: skip


def line(name: str, x: NDArray[Any], y: NDArray[Any], style: Json, hover: str = "", **more: Any) -> Json:
    """NaN parts a line. Without `hover` it tells nothing."""
    told = {"hovertemplate": f"{hover}<extra></extra>"} if hover else {"hoverinfo": "skip"}
    places = {"x": theme.numbers(x), "y": theme.numbers(y)}
    return {"type": "scatter", "mode": "lines", "name": name, "line": style, **places, **told, **more}


def extent(lines: Iterable[Float64], goal: float) -> list[float]:
    """From the best value of all to the worst of most lines: one that diverges does not flatten the others. Finite
    values, at least one line, and at least one value a line."""
    ends = np.array([((goal * line).min(), (goal * line).max()) for line in lines], np.float64)
    best, worst = float(ends[:, 0].min()), float(np.quantile(ends[:, 1], 0.8))
    room = 0.05 * ((worst - best) or abs(best) or 1.0)
    return sorted([goal * (best - room), goal * (worst + room)])


def joined(lines: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> tuple[Float64, Float64]:
    """Many lines as one, apart by gaps: hundreds of traces are slow to draw."""
    gap = np.array([np.nan])
    parts = [(part, other) for x, y in lines for part, other in ((x, y), (gap, gap))] or [(gap, gap)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
