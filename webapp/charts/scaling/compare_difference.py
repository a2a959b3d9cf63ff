"""By how much the other fits' predictions differ from the first one's, with a band of the difference.

Draws are paired by number. Fits of the same points with the same seed have the same resamples, so what both share
cancels; draws of different points are independent, and any pairing is as good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.scaling import compare, drawing
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.scaling.reading import Reading, ends

PLACE = 20
TITLE = "Difference of predictions"
QUESTION = "Is the difference between these fits more than chance?"
IS_WIDE = False


class Gap(NamedTuple):
    """The name of the other, and its prediction over the first one's minus 1, (steps,)"""

    name: str
    value: Float64
    low: Float64
    high: Float64


class Gaps(NamedTuple):
    first: str
    title: str
    target: str
    x: Float64
    gaps: list[Gap]
    words: list[str]


def compares(readings: Mapping[str, Reading]) -> bool:
    return len(readings) > 1 and compare.shared(readings) is not None


def data(readings: Mapping[str, Reading]) -> Gaps:
    over, first = compare.shared(readings), next(iter(readings))
    base = readings[first]
    if over is None or len(readings) < 2:
        return Gaps(first, "", "", np.empty(0), [], [])
    x = compare.common(readings, over)
    others = [name for name in readings if name != first]
    gaps = [_gap(name, base, readings[name], over, x) for name in others]
    level = f"band: {base.level:.0%} of the draws, paired"
    words = [f"above 0: more than {theme.plain(first)} says", level if base.has_draws else base.notice]
    return Gaps(first, drawing.title_of(base, over), drawing.target_of(base), x, gaps, words)


def _gap(name: str, base: Reading, other: Reading, over: str, x: Float64) -> Gap:
    sides = [(reading, compare.at(reading, over, x)) for reading in (other, base)]
    mine, theirs = (reading.predict(at) for reading, at in sides)
    draws = [reading.curves(at) for reading, at in sides]
    count = min(len(each) for each in draws)
    with np.errstate(all="ignore"):
        low, high = ends(draws[0][:count] / draws[1][:count] - 1, base.level)
        return Gap(name, mine / theirs - 1, low, high)


def figure(data: Gaps) -> Json:
    if not data.gaps:
        return look.empty("It takes two fits that explain the same by the same variable.")
    sides = [np.zeros(1), *(side for gap in data.gaps for side in (gap.value, gap.low, gap.high))]
    line = {"color": "--edge", "width": 1.2}
    zero = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "layer": "below", "line": line}
    return {
        "data": [trace for place, gap in enumerate(data.gaps, 1) for trace in _traces(place, gap, data)],
        "layout": theme.layout(
            data.title,
            f"{data.target}, relative to {theme.plain(data.first)}",
            hovermode="closest",
            showlegend=len(data.gaps) > 1,
            margin={"l": 60, "r": 16, "t": 26 if len(data.gaps) > 1 else 6, "b": 40},
            xaxis=drawing.axis([data.x], drawing.is_wide(data.x), room=0.01),
            yaxis={**drawing.axis(sides, is_log=False), "tickformat": "~%"},
            shapes=[zero],
            meta=look.caption(*data.words),
        ),
    }


def _traces(place: int, gap: Gap, data: Gaps) -> list[Json]:
    colour, name = theme.colour(place), theme.plain(gap.name)
    curve = look.line(name, data.x, gap.value, {"color": colour, "width": 2}, f"{name}: %{{y:+.2%}} at %{{x:.3g}}")
    return [*drawing.band(data.x, gap.low, gap.high, colour), curve]
