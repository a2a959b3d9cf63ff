"""The parameters that the fits share, side by side with their intervals; each has a scale of its own.

Of different laws those count as shared that have one name and one meaning, by what the laws say of them: the exponent
`a` of one is no coefficient `a` of another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from webapp.charts import theme
from webapp.charts.scaling import drawing
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.scaling.reading import Reading

PLACE = 30
TITLE = "Parameters side by side"
QUESTION = "Which parameters differ by more than their intervals?"
IS_WIDE = True
COLUMNS = 4
MOST = 12  # parameters
GAP = 0.035


class Row(NamedTuple):
    """One fit's value of a parameter; low and high are None where they are not known."""

    fit: str
    value: float
    low: float | None
    high: float | None


class Forest(NamedTuple):
    """Rows by parameter."""

    fits: list[str]
    parameters: dict[str, list[Row]]
    left_out: list[str]


def compares(readings: Mapping[str, Reading]) -> bool:
    return len(readings) > 1


def data(readings: Mapping[str, Reading]) -> Forest:
    """Free parameters and derived numbers that at least two of them have."""
    found: dict[tuple[str, str], list[Row]] = {}
    for fit, reading in readings.items():
        intervals = reading.result["intervals"] or {}
        for key, value in _values(reading).items():
            if value is not None and math.isfinite(value):
                found.setdefault(key, []).append(_row(fit, value, intervals.get(key[0])))
    both = {name: rows for (name, _), rows in found.items() if len(rows) > 1}
    kept = dict(list(both.items())[:MOST])
    return Forest(list(readings), kept, [name for name in both if name not in kept])


def _values(reading: Reading) -> dict[tuple[str, str], float | None]:
    """By name and meaning: what is said before "with", as in Loss that is left with infinite N."""
    meanings = {each.name: each.help.partition(" with ")[0] for each in reading.law.parameters}
    derived = reading.result["derived"].items()
    parameters = {(name, meanings[name]): value for name, value in reading.parameters.items()}
    return parameters | {(name, f"derived of {reading.law.name}"): value for name, value in derived}


def _row(fit: str, value: float, interval: Mapping[str, Any] | None) -> Row:
    return Row(fit, value, interval["low"], interval["high"]) if interval else Row(fit, value, None, None)


def figure(data: Forest) -> Json:
    if not data.parameters:
        return look.empty("These laws have no parameter of the same name.")
    lines = -(-len(data.parameters) // COLUMNS)
    columns = min(COLUMNS, len(data.parameters))
    traces: list[Json] = []
    axes: Json = {}
    labels: list[Json] = []
    for number, (name, rows) in enumerate(data.parameters.items()):
        end = "" if number == 0 else str(number + 1)
        axes |= _axes(number, end, rows, data.fits, columns, lines)
        traces += [_trace(row, data.fits.index(row.fit)) | {"xaxis": f"x{end}", "yaxis": f"y{end}"} for row in rows]
        place = {"xref": f"x{end} domain", "yref": f"y{end} domain", "yanchor": "bottom"}
        labels.append(theme.label(name, 0, 1, font={"size": 11, "color": "--ink"}, **place))
    words = ["bar: interval from resamples, where there is one", _left_out(data)]
    margin = {"l": 16, "r": 16, "t": 20, "b": 6}
    layout = theme.layout("", hovermode="closest", margin=margin, annotations=labels, meta=look.caption(*words))
    return {"data": traces, "layout": layout | axes}


def _left_out(data: Forest) -> str:
    return f"not shown: {', '.join(map(theme.plain, data.left_out))}" if data.left_out else ""


def _axes(number: int, end: str, rows: list[Row], fits: list[str], columns: int, lines: int) -> Json:
    row, column = divmod(number, columns)
    values = [value for each in rows for value in (each.value, each.low, each.high) if value is not None]
    low, high = min(values), max(values)
    is_log = low > 0 and high > 5 * low
    names = [theme.plain(fit) if len(fit) <= 18 else theme.plain(f"{fit[:17]}…") for fit in fits]
    across = {"anchor": f"y{end}", "domain": [column / columns + GAP * (column > 0), (column + 1) / columns - GAP]}
    up = {
        "anchor": f"x{end}", "domain": [1 - (row + 0.74) / lines, 1 - (row + 0.06) / lines],
        "tickvals": list(range(len(fits))), "ticktext": names if column == 0 else [""] * len(fits), "ticks": "",
        "range": [len(fits) - 0.5, -0.5], "showgrid": False, "automargin": column == 0,
    }  # fmt: skip
    return {f"xaxis{end}": across | _scale(low, high, is_log), f"yaxis{end}": up}


def _scale(low: float, high: float, is_log: bool) -> Json:
    if is_log:
        return drawing.log_axis(low / 1.3, high * 1.3)
    room = 0.1 * ((high - low) or abs(high) or 1.0)
    return {"range": [low - room, high + room], "nticks": 4, "tickformat": "~g", "tickangle": 0}


def _trace(row: Row, place: int) -> Json:
    colour, name = theme.colour(place), theme.plain(row.fit)
    known = row.low is not None and row.high is not None
    interval = drawing.between(row.low, row.high) if row.low is not None and row.high is not None else ""
    bars = {"type": "data", "symmetric": False, "thickness": 1.8, "width": 4, "color": colour}
    if row.low is not None and row.high is not None:
        bars |= {"array": [max(row.high - row.value, 0)], "arrayminus": [max(row.value - row.low, 0)]}
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": [row.value], "y": [place], "showlegend": False,
        "marker": {"size": 8, "color": colour}, "error_x": bars | {"visible": known},
        "hovertemplate": f"{name}: {drawing.short(row.value)} {interval}<extra></extra>",
    }  # fmt: skip
