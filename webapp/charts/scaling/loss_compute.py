"""The target against compute: points by their size, the law at its best N and D with its band, held-out runs ringed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.scaling import drawing, paths
from webapp.charts.scaling.held import Held, held_out, rings
from webapp.charts.sweeps import look
from webapp.charts.sweeps.options import Choice, Option, option
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.scaling.reading import Reading

PLACE = 10
TITLE = "Loss against compute"
QUESTION = "How far does the law describe these runs, and what does it say beyond them?"
IS_WIDE = True


class LossCompute(NamedTuple):
    """`by` (points,) colours the points, where there is something to colour by. `x` is (steps,) like the curve."""

    target: str
    compute: Float64
    measured: Float64
    told: list[list[Any]]
    colour: str
    by: Float64 | None
    x: Float64
    value: Float64
    low: Float64
    high: Float64
    held: Held
    words: list[str]


def applies(reading: Reading) -> bool:
    return paths.over_compute(reading)


def options(reading: Reading) -> list[Option]:
    until = f"{paths.farthest(reading):.4g}"
    names = [(name, name) for name in reading.law.variables if name != "C"]
    far = Option("until", "up to, FLOPs", [Choice(until, until)], is_open=True)
    return [option("by", "colour", names), far] if names else [far]


def data(reading: Reading, until: str, by: str = "") -> LossCompute:
    compute, held = paths.compute_of(reading), held_out(reading, _compute_at)
    starts = np.concatenate([compute, held.x])
    first, last = float(starts.min()) / 1.5, max(float(until), float(starts.max()))
    path = paths.along_compute(reading, np.geomspace(first, last, paths.STEPS))
    value, low, high = reading.band(path.at)
    words = [path.said, drawing.bands_in_words(reading), "dotted: the largest fitted run"]
    words += ["rings: held out, with the interval foreseen" if len(held.x) else ""]
    return LossCompute(
        drawing.target_of(reading), compute, reading.points[reading.law.target], drawing.told(reading), by,
        reading.points[by] if by else None, path.x, value, low, high, held, words,
    )  # fmt: skip


def _compute_at(at: dict[str, float]) -> float:
    return 6 * at["N"] * at["D"] if {"N", "D"} <= at.keys() else at["C"]


def figure(data: LossCompute) -> Json:
    if not np.isfinite(data.value).any():
        return look.empty("The law has no value over this range of compute.")
    drawn = drawing.thinned(len(data.compute))
    hover = f"%{{y:.4g}} at %{{x:.3g}} FLOPs, {data.target}"
    heights = [data.measured, data.value, data.low, data.high, data.held.measured]
    return {
        "data": [
            *drawing.band(data.x, data.low, data.high, "--accent"),
            look.line("law", data.x, data.value, {"color": "--accent", "width": 2}, hover),
            drawing.points(
                "points", data.compute[drawn], data.measured[drawn], [data.told[place] for place in drawn],
                _marker(data, drawn),
            ),
            *rings(data.held),
        ],
        "layout": theme.layout(
            "training compute, FLOPs",
            data.target,
            hovermode="closest",
            xaxis=drawing.axis([data.x], is_log=True, room=0.01),
            yaxis=drawing.axis(heights, is_log=all((each[np.isfinite(each)] > 0).all() for each in heights)),
            shapes=[theme.vertical(float(data.compute.max()), "--ink-3/0.6")],
            meta=look.caption(*data.words, look.few_of(len(drawn), len(data.compute), "points")),
        ),
    }  # fmt: skip


def _marker(data: LossCompute, drawn: Any) -> Json:
    marker: Json = {"size": 7, "line": {"width": 0.8, "color": "--surface"}}
    if data.by is None or not (data.by > 0).all():
        return marker | {"color": "--series-3"}
    ticks = drawing.log_axis(float(data.by.min()), 1.0001 * float(data.by.max()))
    bar = look.colour_bar("") | {
        "title": {"text": theme.plain(data.colour), "side": "top"},
        "tickvals": [float(np.log10(value)) for value in ticks["tickvals"]], "ticktext": ticks["ticktext"],
    }  # fmt: skip
    return marker | {"color": theme.numbers(np.log10(data.by[drawn])), "colorscale": drawing.SIZES, "colorbar": bar}
