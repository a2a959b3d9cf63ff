"""Quality against what it takes: a point a group with its interval, the front, full fine-tuning and base as lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from webapp.charts import labelling, theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.sweeps.comparison import Comparison
from webapp.sweeps.comparison.levels import FULL_LABEL
from webapp.sweeps.comparison.measured import MEASURES, Measure
from webapp.sweeps.comparison.results import Line

MOST_LABELS = 30
REACH = 1.0  # intervals and horizontals are drawn as far from the means as these are spread, and no farther
PERCENT = 100


class Dot(NamedTuple):
    """`low` and `high` are None with one seed. `is_within`: the budget; None where it is not known."""

    key: int
    label: str
    x: float
    mean: float
    low: float | None
    high: float | None
    seeds: int
    is_on_front: bool
    is_baseline: bool
    is_within: bool | None


class Horizontal(NamedTuple):
    label: str
    value: float


class Pareto(NamedTuple):
    """`missing` groups have no value, or nothing measured, or 0 where the axis is logarithmic."""

    metric: str
    measure: Measure
    dots: list[Dot]
    levels: list[Horizontal]
    missing: int
    confidence: float


def data(comparison: Comparison, measure: str) -> Pareto:
    """Raises KeyError for a measure that does not exist."""
    asked, told = MEASURES[measure], comparison.question
    dots = [dot for line in comparison.lines if (dot := _dot(line, asked, comparison.baseline))]
    levels = [Horizontal(level.label, level.value) for level in comparison.levels if level.value is not None]
    return Pareto(told.metric, asked, dots, levels, len(comparison.lines) - len(dots), told.confidence)


def _dot(line: Line, measure: Measure, baseline: int | None) -> Dot | None:
    amount, quality = line.measures[measure.name], line.quality
    if amount is None or quality is None or amount.mean <= 0:
        return None
    scale = PERCENT if measure.unit == "share" else 1
    return Dot(
        key=line.key,
        label=theme.plain(line.label),
        x=amount.mean * scale,
        mean=quality.mean,
        low=quality.low,
        high=quality.high,
        seeds=quality.n,
        is_on_front=measure.name in line.front,
        is_baseline=line.key == baseline,
        is_within=line.is_within,
    )


def figure(data: Pareto, *, is_small: bool = False) -> Json:
    if not data.dots:
        return look.empty(f"No group has both {theme.plain(data.metric)} and a measured {data.measure.label.lower()}.")
    bottom, top = _reach(data.dots, data.levels)
    xs = [dot.x for dot in data.dots]
    front = sorted((dot for dot in data.dots if dot.is_on_front), key=lambda dot: dot.x)
    others = [dot for dot in data.dots if not dot.is_on_front]
    shape = "vh" if data.measure.is_more_better else "hv"
    inside = [level for level in data.levels if bottom <= level.value <= top]
    return {
        "data": [
            look.line(
                "front",
                np.array([dot.x for dot in front]),
                np.array([dot.mean for dot in front]),
                {"color": "--accent", "width": 1.4, "shape": shape, "dash": "dot"},
            ),
            _points("beaten", others, "--ink-3"),
            _points("on the front", front, "--accent"),
        ],
        "layout": theme.layout(
            data.measure.title,
            theme.plain(data.metric),
            hovermode="closest",
            xaxis={**look.log_axis(min(xs), max(xs), few=is_small), "range": _across(xs)},
            yaxis={"range": [bottom, top]},
            shapes=[_level(level) for level in inside],
            annotations=_labels(data.dots, inside, (bottom, top), is_small=is_small),
            margin={"l": 54, "r": 16, "t": 12, "b": 40},
            meta=look.caption(*_caption(data, front, (bottom, top))),
        ),
    }


def _points(name: str, dots: Sequence[Dot], colour: str) -> Json:
    """A hollow point had another budget; the baseline is a diamond."""
    told = [[dot.label, _interval(dot), dot.seeds, look.amount(dot.x)] for dot in dots]
    marker = {"size": 8, "color": colour, "symbol": [_symbol(dot) for dot in dots], "line": {"width": 1.4}}
    hover = "<b>%{customdata[0]}</b><br>%{y:.5g} %{customdata[1]}, seeds: %{customdata[2]}<br>at %{customdata[3]}"
    bars = {"type": "data", "symmetric": False, "thickness": 1.2, "width": 0, "color": f"{colour}/0.55"}
    bars["array"] = [dot.high - dot.mean if dot.high is not None else 0 for dot in dots]
    bars["arrayminus"] = [dot.mean - dot.low if dot.low is not None else 0 for dot in dots]
    trace = look.dots(
        name, np.array([dot.x for dot in dots]), np.array([dot.mean for dot in dots]), told, marker, hover
    )
    return {**trace, "error_y": bars, "meta": {"points": "groups"}}


def _symbol(dot: Dot) -> str:
    return ("diamond" if dot.is_baseline else "circle") + ("-open" if dot.is_within is False else "")


def _interval(dot: Dot) -> str:
    return "(no interval)" if dot.low is None or dot.high is None else f"({dot.low:.5g} to {dot.high:.5g})"


def _reach(dots: Sequence[Dot], levels: Sequence[Horizontal]) -> tuple[float, float]:
    """The ends of the axis: all means; intervals and horizontals as far as they do not squash these."""
    means = [dot.mean for dot in dots]
    near = [level.value for level in levels if level.label == FULL_LABEL]
    low, high = min(means + near), max(means + near)
    spread = (high - low) or abs(high) * 0.02 or 1.0
    floor, ceiling = low - REACH * spread, high + REACH * spread
    ends = [end for dot in dots for end in (dot.low, dot.high) if end is not None]
    ends += [level.value for level in levels if floor <= level.value <= ceiling]
    bottom, top = min([low, *(max(end, floor) for end in ends)]), max([high, *(min(end, ceiling) for end in ends)])
    room = 0.08 * ((top - bottom) or spread)
    return bottom - room, top + room


def _across(xs: Sequence[float]) -> list[float]:
    """In powers of ten, with room for labels at the right."""
    low, high = math.log10(min(xs)), math.log10(max(xs))
    room = 0.06 * (high - low) or 0.3
    return [low - room, high + 2 * room]


def _labels(
    dots: Sequence[Dot], levels: Sequence[Horizontal], ends: tuple[float, float], *, is_small: bool
) -> list[Json]:
    """All of a few; of many only the front and the baseline. The names of horizontals keep their place."""
    shown = dots if len(dots) <= (MOST_LABELS // 3 if is_small else MOST_LABELS) else None
    shown = shown or [dot for dot in dots if dot.is_on_front or dot.is_baseline][:MOST_LABELS]
    across = _across([dot.x for dot in dots])
    places = [(_part(math.log10(dot.x), *across), _part(dot.mean, *ends)) for dot in shown]
    return [
        {**theme.label("", math.log10(dot.x), dot.mean), "text": dot.label, **side}
        for dot, side in zip(
            shown, labelling.sides(places, [dot.label for dot in shown], is_small=is_small), strict=True
        )
    ]


def _part(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)


def _level(level: Horizontal) -> Json:
    """With its name as the line's own label: the annotations are the points' alone (static/css/compare.css)."""
    dash = "dash" if level.label == FULL_LABEL else "dot"
    return {
        "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level.value, "y1": level.value, "layer": "below",
        "line": {"color": "--ink-3/0.7", "width": 1, "dash": dash},
        "label": {"text": level.label, "textposition": "start", "yanchor": "bottom", "padding": 2,
                  "font": {"size": 10, "color": "--ink-3"}},
    }  # fmt: skip


def _caption(data: Pareto, front: Sequence[Dot], ends: tuple[float, float]) -> list[str]:
    bottom, top = ends
    far = [level for level in data.levels if not bottom <= level.value <= top]
    return [
        f"{len(front)} of {len(data.dots)} groups on the front",
        _bars(data, ends),
        "hollow: other budget" if any(dot.is_within is False for dot in data.dots) else "",
        *(f"{level.label} {level.value:.4g} lies beyond" for level in far),
        f"{data.missing} not drawn: nothing measured" if data.missing else "",
    ]


def _bars(data: Pareto, ends: tuple[float, float]) -> str:
    bounds = [end for dot in data.dots for end in (dot.low, dot.high) if end is not None]
    if not bounds:
        return "one seed each: no intervals"
    cut = ", cut at the edge" if min(bounds) < ends[0] or max(bounds) > ends[1] else ""
    return f"bars: {data.confidence * PERCENT:g} % interval over seeds{cut}"
