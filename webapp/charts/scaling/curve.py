"""The law along one of its variables, the others held in the middle of the points, with the points that lie near."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from webapp.charts import theme
from webapp.charts.scaling import drawing, paths
from webapp.charts.scaling.held import Held, held_out, rings
from webapp.charts.sweeps import look
from webapp.charts.sweeps.options import Option, option
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.scaling.reading import Reading

PLACE = 15
TITLE = "Law along one variable"
QUESTION = "How does it change with one variable alone?"
IS_WIDE = False
NEAR = 1.25  # how far the other variables of a point may be from where they are held, times
ROOM = 1.6  # how far beyond the points the curve goes, times


class Curve(NamedTuple):
    """The curve, (steps,), and the points near it, (near,), of so many that are `total`."""

    title: str
    target: str
    is_log: bool
    x: Float64
    value: Float64
    low: Float64
    high: Float64
    places: Float64
    measured: Float64
    told: list[list[Any]]
    held: Held
    total: int
    words: list[str]


def applies(reading: Reading) -> bool:
    """Where loss_compute does not show the same already."""
    return reading.law.target == "N_opt" or (bool(reading.law.variables) and set(reading.law.variables) != {"C"})


def options(reading: Reading) -> list[Option]:
    names = reading.law.variables
    varied = [name for name in names if len(np.unique(reading.through[name])) > 1] or list(names)
    own = sorted(varied, key=lambda name: name in ("N", "D"))  # what is the law's own first
    return [option("over", "over", [(name, name) for name in own])]


def data(reading: Reading, over: str) -> Curve:
    table = reading.through
    held = {name: paths.middle(table[name]) for name in reading.law.variables if name != over}
    values, is_log = table[over], drawing.is_wide(table[over])
    x = paths.spread(values, ROOM if is_log else 1.1, is_log)
    value, low, high = reading.band({**held, over: x})
    near = near_to(table, held)
    told = _told(reading)
    words = [drawing.bands_in_words(reading)]
    if held:
        at = ", ".join(f"{theme.plain(name)} = {drawing.short(level)}" for name, level in held.items())
        words = [f"{at}; points within {NEAR - 1:.0%} of that", *words]
    return Curve(
        drawing.title_of(reading, over), drawing.target_of(reading), is_log, x, value, low, high, values[near],
        table[reading.law.target][near], [told[place] for place in np.flatnonzero(near)],
        _held(reading, over, held), len(values), words,
    )  # fmt: skip


def near_to(table: dict[str, Float64], held: dict[str, float]) -> NDArray[np.bool_]:
    """Which points have their other variables where these are held, about."""
    found = np.ones(len(next(iter(table.values()))), bool)
    for name, level in held.items():
        found &= np.abs(table[name] - level) <= (NEAR - 1) * abs(level)
    return found


def _told(reading: Reading) -> list[list[Any]]:
    if not reading.result["reduced"]:
        return drawing.told(reading)
    lines = zip(*(reading.through[name].tolist() for name in ("C", "N_opt")), strict=True)
    return [[None, f"optimum: N {drawing.amount(size)} at {drawing.amount(budget)} FLOPs"] for budget, size in lines]


def _held(reading: Reading, over: str, held: dict[str, float]) -> Held:
    found = held_out(reading, lambda at: at[over])
    points = [each["at"] for each in reading.held_out if set(reading.law.variables) <= each["at"].keys()]
    near = near_to({name: np.array([at[name] for at in points]) for name in reading.law.variables}, held)
    told = [told for told, is_near in zip(found.told, near, strict=True) if is_near]
    x, measured, predicted, low, high = (column[near] for column in found[:-1])
    return Held(x, measured, predicted, low, high, told)


def figure(data: Curve) -> Json:
    if not np.isfinite(data.value).any():
        return look.empty("The law has no value along this variable.")
    drawn = drawing.thinned(len(data.measured))
    heights = [data.measured, data.value, data.low, data.high, data.held.measured]
    y_is_log = drawing.is_wide(np.concatenate([each[np.isfinite(each)] for each in heights]), 3.0)
    few = f"{len(data.measured):,} of {data.total:,} points lie near" if len(data.measured) < data.total else ""
    return {
        "data": [
            *drawing.band(data.x, data.low, data.high, "--accent"),
            look.line("law", data.x, data.value, {"color": "--accent", "width": 2}, "%{y:.4g} at %{x:.4g}"),
            drawing.points(
                "points", data.places[drawn], data.measured[drawn], [data.told[place] for place in drawn],
                {"size": 7, "color": "--series-3", "line": {"width": 0.8, "color": "--surface"}},
            ),
            *rings(data.held),
        ],
        "layout": theme.layout(
            data.title,
            data.target,
            hovermode="closest",
            xaxis=drawing.axis([data.x, data.held.x], data.is_log, room=0.02),
            yaxis=drawing.axis(heights, y_is_log, room=0.06),
            meta=look.caption(*data.words, few),
        ),
    }  # fmt: skip
