"""Points that the law had not seen: what was measured, what was foreseen, and how they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.scaling import drawing
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.scaling.reading import Reading


class Held(NamedTuple):
    """(points,) each; `x` is where they stand, `low` and `high` the interval of one new measurement."""

    x: Float64
    measured: Float64
    predicted: Float64
    low: Float64
    high: Float64
    told: list[list[Any]]


def held_out(reading: Reading, place: Callable[[dict[str, float]], float]) -> Held:
    """`place`: where a point stands, by its variables; one without these variables is left out."""
    found = [each for each in reading.held_out if set(reading.law.variables) <= each["at"].keys()]
    intervals = [each["interval"] or (np.nan, np.nan) for each in found]
    return Held(
        np.array([place(each["at"]) for each in found], np.float64),
        np.array([each["measured"] for each in found], np.float64),
        np.array([each["predicted"] for each in found], np.float64),
        np.array([low for low, _ in intervals], np.float64),
        np.array([high for _, high in intervals], np.float64),
        [_told(each) for each in found],
    )


def _told(point: Mapping[str, Any]) -> list[Any]:
    run = point["run"]
    name = "held out" if run is None else f"{drawing.named(run, 0)}, held out"
    return [run if isinstance(run, int) else None, f"{name}: {words(point)}"]


def words(point: Mapping[str, Any]) -> str:
    """at, measured, predicted, interval and relative error in one line."""
    interval = drawing.between(*(point["interval"] or (np.nan, np.nan)))
    measured, predicted = drawing.short(point["measured"]), drawing.short(point["predicted"])
    where = drawing.values_in_words(dict(point["at"]))
    return f"measured {measured}, foreseen {predicted} {interval}, {point['relative_error']:+.2%} at {where}"


def rings(held: Held) -> list[Json]:
    """The measured values as rings, the intervals foreseen as bars behind them."""
    if not len(held.x):
        return []
    bars = {
        "type": "data", "symmetric": False, "color": "--ink-3", "thickness": 1.2, "width": 4,
        "array": theme.numbers(np.maximum(held.high - held.predicted, 0)),
        "arrayminus": theme.numbers(np.maximum(held.predicted - held.low, 0)),
    }  # fmt: skip
    hidden = {"size": 5, "symbol": "line-ew", "line": {"width": 1.4, "color": "--ink-3"}}
    return [
        drawing.points("foreseen", held.x, held.predicted, held.told, hidden, error_y=bars),
        drawing.points("held out", held.x, held.measured, held.told, drawing.RING),
    ]
