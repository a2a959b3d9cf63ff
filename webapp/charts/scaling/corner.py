"""The draws of the free parameters: each alone on the diagonal, each pair below it, with every minimum marked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.scaling import drawing
from webapp.charts.sweeps import look
from webapp.charts.sweeps.options import Option
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.scaling.reading import Reading

PLACE = 60
TITLE = "Parameters together"
QUESTION = "Which parameters do these points leave free to trade against each other?"
IS_WIDE = True
BINS = 24
MOST = 7  # parameters
DRAWN = 350  # draws of each pair
GAP = 0.014  # between panels, of the whole
SHOWN = (0.004, 0.996)  # of the draws; what lies beyond counts in the outermost bins


class Side(NamedTuple):
    """One parameter: its draws that have a fit, its histogram, (bins,) and (bins + 1,), and where the minima are."""

    name: str
    draws: Float64
    counts: Float64
    edges: Float64
    is_log: bool
    best: float
    low: float
    high: float
    others: list[float]
    is_identified: bool


class Corner(NamedTuple):
    sides: list[Side]
    notice: str
    left_out: list[str]


def applies(reading: Reading) -> bool:
    """One parameter has no pair, but its histogram is worth seeing."""
    return bool(reading.law.free) and bool(reading.spec.bootstrap.resamples)


def options(reading: Reading) -> list[Option]:
    return []


def data(reading: Reading) -> Corner:
    names = [each.name for each in reading.law.free]
    if not reading.has_draws:
        return Corner([], reading.notice or "Too few resamples have a fit.", [])
    finite = np.all([np.isfinite(reading.draws[name]) for name in names], axis=0)
    sides = [_side(reading, name, reading.draws[name][finite]) for name in names[:MOST]]
    return Corner(sides, "", names[MOST:])


def _side(reading: Reading, name: str, draws: Float64) -> Side:
    told = reading.result["intervals"][name]
    low, high = np.quantile(draws, SHOWN)
    best = reading.parameters[name]
    others = [each["parameters"][name] for each in reading.result["minima"][1:]]
    is_log = bool((draws > 0).all() and high > 4 * low and best > 0)
    edges = _edges(min(low, best), max(high, best), is_log)
    counts, _ = np.histogram(np.clip(draws, edges[0], edges[-1]), edges)
    least, most = (float("nan") if told[end] is None else float(told[end]) for end in ("low", "high"))
    return Side(name, draws, counts.astype(np.float64), edges, is_log, best, least, most, others, told["identified"])


def _edges(low: float, high: float, is_log: bool) -> Float64:
    if is_log:
        return np.geomspace(low / (high / low) ** 0.03, high * (high / low) ** 0.03, BINS + 1)
    room = 0.03 * (high - low) or 0.01 * (abs(low) or 1.0)
    return np.linspace(low - room, high + room, BINS + 1)


def figure(data: Corner) -> Json:
    if not data.sides:
        return look.empty(data.notice)
    count = len(data.sides)
    cells = [(row, column) for row in range(count) for column in range(row + 1)]
    cells.sort(key=lambda cell: (-cell[0], cell[1]))  # the first axes are at the bottom, where titles are
    traces: list[Json] = []
    axes: Json = {}
    labels: list[Json] = []
    for number, (row, column) in enumerate(cells, 1):
        x, y = f"x{number if number > 1 else ''}", f"y{number if number > 1 else ''}"
        axes |= _axes(data, row, column, x, y)
        found = _alone(data.sides[row]) if row == column else _pair(data.sides[column], data.sides[row])
        traces += [trace | {"xaxis": x, "yaxis": y} for trace in found]
        if row == column:
            labels.append(_title(data.sides[row], x, y))
    words = [
        f"{len(data.sides[0].draws):,} draws", "line and cross: the optimum",
        "diamond: another minimum within 1 %" if data.sides[0].others else "",
        f"not shown: {', '.join(data.left_out)}" if data.left_out else "",
    ]  # fmt: skip
    layout = theme.layout("", hovermode="closest", margin={"l": 62, "r": 12, "t": 18, "b": 44}, bargap=0,
                          annotations=labels, meta=look.caption(*words))  # fmt: skip
    return {"data": traces, "layout": layout | axes}


def _title(side: Side, x: str, y: str) -> Json:
    doubt = "" if side.is_identified else ", not identified"
    text = f"{side.name} {drawing.short(side.best)} {drawing.between(side.low, side.high)}{doubt}"
    return theme.label(text, 0, 1, xref=f"{x} domain", yref=f"{y} domain", yanchor="bottom", yshift=1)


def _axes(data: Corner, row: int, column: int, x: str, y: str) -> Json:
    """Numbers and names only at the bottom and at the left."""
    count = len(data.sides)
    at_bottom, at_left = row == count - 1, column == 0 and row > 0
    across = _scale(data.sides[column]) | _place(column, count) | {"anchor": y, "showticklabels": at_bottom}
    up = _place(count - 1 - row, count) | {"anchor": x, "showgrid": False, "showticklabels": at_left, "ticks": ""}
    up |= {"rangemode": "tozero"} if row == column else _scale(data.sides[row])
    across |= {"title": {"text": theme.plain(data.sides[column].name) if at_bottom else ""}, "tickangle": 0}
    up |= {"title": {"text": theme.plain(data.sides[row].name) if at_left else ""}}
    return {f"xaxis{x[1:]}": across, f"yaxis{y[1:]}": up}


def _place(place: int, count: int) -> Json:
    return {"domain": [place / count + GAP, (place + 1) / count - GAP]}


def _scale(side: Side) -> Json:
    low, high = float(side.edges[0]), float(side.edges[-1])
    if side.is_log:
        found = drawing.log_axis(low, high)
        kept = slice(None, None, -(-len(found["tickvals"]) // 3))
        return found | {"tickvals": found["tickvals"][kept], "ticktext": found["ticktext"][kept]}
    return {"range": [low, high], "nticks": 4}


def _alone(side: Side) -> list[Json]:
    middles = np.sqrt(side.edges[1:] * side.edges[:-1]) if side.is_log else (side.edges[1:] + side.edges[:-1]) / 2
    steps = np.repeat(side.edges, 2)[1:-1], np.repeat(side.counts, 2)
    outline = look.line("draws", *steps, {"width": 1, "color": "--accent"})
    told = {
        "type": "scatter", "mode": "markers", "name": "draws", "x": theme.numbers(middles),
        "y": theme.numbers(side.counts),
        "marker": {"size": 8, "opacity": 0},
        "hovertemplate": f"{theme.plain(side.name)} %{{x:.4g}}: %{{y}} draws<extra></extra>",
    }  # fmt: skip
    top = float(side.counts.max()) * 1.08
    best = look.line("optimum", np.array([side.best] * 2), np.array([0, top]), {"width": 1.4, "color": "--ink"})
    others = [
        look.line(
            "minimum", np.array([each] * 2), np.array([0, top]), {"width": 1, "color": "--series-2", "dash": "dot"}
        )
        for each in side.others
    ]
    return [outline | {"fill": "tozeroy", "fillcolor": f"--accent/{drawing.BAND}"}, told, best, *others]


def _pair(x: Side, y: Side) -> list[Json]:
    drawn = np.linspace(0, len(x.draws) - 1, min(len(x.draws), DRAWN)).round().astype(np.intp)
    names = theme.plain(x.name), theme.plain(y.name)
    hover = f"{names[0]} %{{x:.4g}}, {names[1]} %{{y:.4g}}"
    cloud = look.dots("draws", x.draws[drawn], y.draws[drawn], [], {"size": 3, "color": "--accent/0.35"}, hover)
    marks = [(x.best, y.best, {"size": 9, "symbol": "cross-thin", "line": {"width": 2, "color": "--ink"}}, "optimum")]
    diamond: dict[str, Any] = {"size": 8, "symbol": "diamond-open", "color": "--series-2", "line": {"width": 1.6}}
    marks += [(*pair, diamond, "another minimum") for pair in zip(x.others, y.others, strict=True)]
    return [cloud | {"meta": None}] + [
        look.dots(name, np.array([at]), np.array([height]), [], marker, f"{name}: {hover}") | {"meta": None}
        for at, height, marker, name in marks
    ]
