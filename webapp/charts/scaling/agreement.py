"""Foreseen against measured: the diagonal, the points, their intervals, and how far out each is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.scaling import drawing
from webapp.charts.scaling.held import Held
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.metrics.points import Float64

LABELLED = 8  # up to so many points have their error written beside them
WITHIN = (0.14, 0.05)  # of the axes: so near to one another, one label is enough


class Group(NamedTuple):
    """Points in one colour; `x` of `held` is not used."""

    name: str
    held: Held


class Agreement(NamedTuple):
    target: str
    groups: list[Group]
    words: list[str]


def inside_in_words(held: Held) -> str:
    inside = (held.low <= held.measured) & (held.measured <= held.high)
    return f"{int(inside.sum())} of {len(inside)} inside their intervals"


def errors(held: Held) -> Float64:
    """Relative, of the prediction against what was measured."""
    return held.predicted / held.measured - 1


def figure(data: Agreement, empty: str) -> Json:
    groups = [group for group in data.groups if len(group.held.measured)]
    if not groups:
        return look.empty(empty)
    ends = [side for g in groups for side in (g.held.measured, g.held.predicted, g.held.low, g.held.high)]
    is_log = drawing.is_wide(np.concatenate([side[np.isfinite(side)] for side in ends]))
    axis = drawing.axis(ends, is_log, room=0.1)
    diagonal = np.array(axis["range"], np.float64)
    diagonal = 10**diagonal if is_log else diagonal
    style = {"color": "--edge", "width": 1, "dash": "dot"}
    return {
        "data": [
            look.line("equal", diagonal, diagonal, style),
            *(_points(place, group) for place, group in enumerate(groups)),
        ],
        "layout": theme.layout(
            f"measured {data.target}",
            f"foreseen {data.target}",
            hovermode="closest",
            showlegend=len(groups) > 1,
            margin={"l": 54, "r": 16, "t": 26 if len(groups) > 1 else 6, "b": 40},
            xaxis=axis,
            yaxis=axis,
            annotations=_labels(groups, axis, is_log),
            meta=look.caption(*data.words, "bar: the interval that was stated for one new measurement"),
        ),
    }


def _points(place: int, group: Group) -> Json:
    held, colour = group.held, theme.colour(place)
    bars = {
        "type": "data", "symmetric": False, "color": f"{colour}/0.7", "thickness": 1.4, "width": 5,
        "array": theme.numbers(np.maximum(held.high - held.predicted, 0)),
        "arrayminus": theme.numbers(np.maximum(held.predicted - held.low, 0)),
    }  # fmt: skip
    marker = {"size": 8, "color": colour, "line": {"width": 1, "color": "--surface"}}
    return drawing.points(group.name, held.measured, held.predicted, held.told, marker, error_y=bars)


def _labels(groups: list[Group], axis: Json, is_log: bool) -> list[Json]:
    """The largest errors first; one that would stand on another is left to hovering."""
    if sum(len(group.held.measured) for group in groups) > LABELLED:
        return []
    x, y, out = (np.concatenate(side) for side in zip(*(_places(group.held, is_log) for group in groups), strict=True))
    low, high = axis["range"]
    shares = np.column_stack([x, y]) - low
    found: list[int] = []
    for place in np.argsort(-np.abs(out)).tolist():
        apart = np.abs(shares[found] - shares[place]) / (high - low)
        if not (apart < WITHIN).all(1).any():
            found.append(place)
    return [theme.label(f"{out[place]:+.2%}", float(x[place]), float(y[place]), xshift=8) for place in found]


def _places(held: Held, is_log: bool) -> tuple[Float64, Float64, Float64]:
    """As an annotation takes them, and the errors."""
    x, y = (np.log10(side) if is_log else side for side in (held.measured, held.predicted))
    return x, y, errors(held)
