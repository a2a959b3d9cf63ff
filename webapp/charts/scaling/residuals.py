"""What is left of each point when the law is taken away: against a variable or the prediction, the largest named."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.scaling import drawing
from webapp.charts.sweeps import look
from webapp.charts.sweeps.options import Option, option
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.scaling.reading import Reading

PLACE = 40
TITLE = "Residuals"
QUESTION = "Is what the law misses noise, or does it have a shape?"
IS_WIDE = False
NAMED = 3  # of the largest


class Residuals(NamedTuple):
    """(points,) each, in the order of the points; `told` are the points' numbers and words, `names` theirs alone."""

    title: str
    x: Float64
    residuals: Float64
    predicted: Float64
    is_log: bool
    told: list[list[Any]]
    names: list[str]
    rms: float


def applies(reading: Reading) -> bool:
    return True


def options(reading: Reading) -> list[Option]:
    names = [*reading.law.variables, *(["C"] if "C" in reading.through else [])]
    return [option("by", "by", [*((name, name) for name in dict.fromkeys(names)), ("predicted", "prediction")])]


def data(reading: Reading, by: str) -> Residuals:
    told = reading.result["residuals"]
    residuals, predicted = (np.array(told[key], np.float64) for key in ("values", "predicted"))
    is_predicted = by == "predicted"
    title = f"predicted {drawing.target_of(reading)}" if is_predicted else drawing.title_of(reading, by)
    x = predicted if is_predicted else reading.through[by]
    words, names = _named(reading, len(residuals))
    rms = float(np.sqrt(np.nanmean(residuals**2)))
    return Residuals(title, x, residuals, predicted, told["scale"] == "log", words, names, rms)


def _named(reading: Reading, count: int) -> tuple[list[list[Any]], list[str]]:
    """A law that goes through optima has these in place of runs."""
    if reading.result["reduced"]:
        budgets = [f"{drawing.amount(value)} FLOPs" for value in reading.through["C"]]
        return [[None, f"optimum at {name}"] for name in budgets], budgets
    told = drawing.told(reading)
    return told, [words.partition(":")[0] for _, words in told]


def figure(data: Residuals) -> Json:
    known = np.isfinite(data.residuals)
    if not known.any():
        return look.empty("The law has no value at its own points.")
    drawn = np.flatnonzero(known)[drawing.thinned(int(known.sum()))]
    words = [f"{data.told[place][1]}: {_size(data, data.residuals[place])}" for place in drawn]
    told = [[data.told[place][0], text] for place, text in zip(drawn, words, strict=True)]
    is_log = drawing.is_wide(data.x)
    scale = "ln (measured / predicted)" if data.is_log else "measured - predicted"
    marker = {"size": 6, "color": "--series-3/0.8"}
    return {
        "data": [drawing.points("residuals", data.x[drawn], data.residuals[drawn], told, marker)],
        "layout": theme.layout(
            data.title,
            scale,
            hovermode="closest",
            xaxis=drawing.axis([data.x], is_log),
            yaxis={**drawing.axis([data.residuals, np.zeros(1)], is_log=False, room=0.08), "tickformat": "~g"},
            shapes=[_zero()],
            annotations=[_largest(data, place, is_log) for place in largest(data)],
            meta=look.caption(
                f"root mean square {data.rms:.3g}", f"the {NAMED} largest are named",
                look.few_of(len(drawn), len(data.residuals), "points"),
            ),
        ),
    }  # fmt: skip


def largest(data: Residuals) -> list[int]:
    """Their places, the largest first."""
    order = np.argsort(-np.nan_to_num(np.abs(data.residuals)), kind="stable")
    return [int(place) for place in order[:NAMED] if data.residuals[place]]


def _size(data: Residuals, residual: float) -> str:
    return f"{np.expm1(residual):+.2%} of what is predicted" if data.is_log else f"{residual:+.4g}"


def _zero() -> Json:
    line = {"color": "--edge", "width": 1.2}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "layer": "below", "line": line}


def _largest(data: Residuals, place: int, is_log: bool) -> Json:
    x, y = float(data.x[place]), float(data.residuals[place])
    low, high = float(np.nanmin(data.x)), float(np.nanmax(data.x))
    share = np.log(x / low) / np.log(high / low) if is_log else (x - low) / ((high - low) or 1.0)
    side = {"xanchor": "right", "xshift": -6} if share > 0.6 else {"xanchor": "left", "xshift": 6}
    return theme.label("", float(np.log10(x)) if is_log else x, y, **side) | {"text": data.names[place]}
