"""Slices of equal compute: the target over size, a curve through each, and the best size of each budget.

The law isoflop has its own slices, parabolas and optima. For a law of N and D, slices are windows of compute with the
most points; the curve is the law's own at the slice's compute, and so is its best size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from webapp.charts import theme
from webapp.charts.scaling import drawing, paths
from webapp.charts.sweeps import look
from webapp.charts.sweeps.options import Option
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.scaling.reading import Reading

PLACE = 20
TITLE = "IsoFLOP slices"
QUESTION = "Which size is best at each budget?"
IS_WIDE = False
WINDOW = 1.25  # compute within a slice differs by at most so many times
FEWEST = 4  # sizes in a slice
MOST = 8  # slices
ROOM = 1.35  # how far beyond its sizes a slice's curve goes, times


class Slice(NamedTuple):
    """`best` is NaN where the law has no best size; `low` and `high` are its interval."""

    budget: float
    sizes: Float64
    measured: Float64
    told: list[list[Any]]
    x: Float64
    curve: Float64
    best: float
    least: float
    low: float
    high: float


class Slices(NamedTuple):
    target: str
    slices: list[Slice]
    words: list[str]


def applies(reading: Reading) -> bool:
    if reading.law.name == "isoflop":
        return True
    reads_both = paths.over_compute(reading) and "N" in reading.law.variables
    return reads_both and bool(windows(paths.compute_of(reading), reading.points["N"]))


def options(reading: Reading) -> list[Option]:
    return []


def data(reading: Reading) -> Slices:
    if reading.law.name == "isoflop":
        said = "curve: a parabola in ln N through each budget"
        return Slices("loss", _parabolas(reading), [said, "diamond: its lowest point, which the law goes through"])
    compute = paths.compute_of(reading)
    found = [_by_law(reading, rows, compute) for rows in windows(compute, reading.points["N"])]
    words = ["curve: the law at each budget", "diamond: the best size, with its interval"]
    return Slices(drawing.target_of(reading), found, words)


def windows(compute: Float64, size: Float64) -> list[NDArray[np.intp]]:
    """The rows of each slice, by compute: the window with the most sizes first, then the most of what is left."""
    order = np.argsort(compute, kind="stable")
    found: list[NDArray[np.intp]] = []
    logs = np.log(compute[order])
    free = np.ones(len(order), bool)
    while len(found) < MOST:
        last = np.searchsorted(logs, logs + np.log(WINDOW), "right")
        counts = [len(np.unique(size[order[a:b][free[a:b]]])) for a, b in enumerate(last)]
        start = int(np.argmax(counts)) if counts else 0
        if not counts or counts[start] < FEWEST:
            break
        inside = np.arange(start, last[start])[free[start : last[start]]]
        found.append(order[inside])
        free[inside] = False
    return sorted(found, key=lambda rows: float(compute[rows].mean()))


def _by_law(reading: Reading, rows: NDArray[np.intp], compute: Float64) -> Slice:
    budget = np.array([np.exp(np.log(compute[rows]).mean())])
    size = reading.points["N"][rows]
    best = reading.optimum(budget)
    path = paths.along_compute(reading, budget)
    has_best = best is not None or "tokens per parameter" not in path.said
    optimum = path.at["N"][0] if has_best else np.nan
    x = paths.spread(np.append(size, optimum if np.isfinite(optimum) else size[:1]), ROOM, is_log=True)
    rest = {name: path.at[name][0] for name in reading.law.variables if name not in ("N", "D")}
    curve = reading.predict({"N": x, "D": budget / (6 * x), **rest})
    low, high = (np.nan, np.nan) if best is None else (best.N_low[0], best.N_high[0])
    told, all_told = [], drawing.told(reading)
    told = [all_told[row] for row in rows]
    least = float(reading.predict(path.at)[0]) if has_best else np.nan
    measured = reading.points[reading.law.target][rows]
    return Slice(float(budget[0]), size, measured, told, x, curve, float(optimum), least, float(low), float(high))


def _parabolas(reading: Reading) -> list[Slice]:
    from gpu_jobs.methods.laws import isoflop

    size, loss, told = reading.points["N"], reading.points["loss"], drawing.told(reading)
    found = []
    for rows in isoflop.slices(reading.points["C"], reading.law.tolerance):
        budget = float(np.exp(np.log(reading.points["C"][rows]).mean()))
        x = paths.spread(size[rows], 1.05, is_log=True)
        place = int(np.argmin(np.abs(np.log(reading.through["C"] / budget))))
        is_known = abs(np.log(reading.through["C"][place] / budget)) < 1e-9  # else it had no optimum of its own
        curve, best, least = np.full(len(x), np.nan), np.nan, np.nan
        if is_known:
            best, least = (float(reading.through[name][place]) for name in ("N_opt", "loss"))
            curve = least + reading.through["curvature"][place] * (np.log(x) - np.log(best)) ** 2
        mine = [told[row] for row in rows]
        found.append(Slice(budget, size[rows], loss[rows], mine, x, curve, best, least, np.nan, np.nan))
    return found


def figure(data: Slices) -> Json:
    if not data.slices:
        return look.empty("No budget has points of enough sizes.")
    sizes = [np.append(one.x, one.sizes) for one in data.slices]
    heights = [np.append(one.curve[np.isfinite(one.curve)], one.measured) for one in data.slices]
    x, y = drawing.axis(sizes, is_log=True, room=0.02), drawing.axis(heights, is_log=False)
    return {
        "data": [trace for place, one in enumerate(data.slices) for trace in _traces(place, one)],
        "layout": theme.layout(
            "parameters N",
            data.target,
            hovermode="closest",
            margin={"l": 54, "r": 78, "t": 6, "b": 40},
            xaxis=x,
            yaxis=y,
            annotations=[_label(place, one) for place, one in enumerate(data.slices)],
            meta=look.caption(*data.words),
        ),
    }  # fmt: skip


def _label(place: int, one: Slice) -> Json:
    """At the right end of its curve, beyond the axes where there is no other line."""
    known = np.flatnonzero(np.isfinite(one.curve))
    x, y = (one.x[known[-1]], one.curve[known[-1]]) if len(known) else (one.sizes.max(), one.measured[-1])
    return theme.label(drawing.amount(float(f"{one.budget:.2g}")), float(np.log10(x)), float(y), xshift=4,
                       font={"size": 10, "color": theme.colour(place)})  # fmt: skip


def _traces(place: int, one: Slice) -> list[Json]:
    colour, budget = theme.colour(place), drawing.amount(one.budget)
    hover = f"%{{y:.4g}} at N %{{x:.3g}}, {budget} FLOPs"
    dots = drawing.points(budget, one.sizes, one.measured, one.told, {"size": 6, "color": f"{colour}/0.75"})
    found = [look.line("law", one.x, one.curve, {"color": colour, "width": 1.6}, hover), dots]
    if not np.isfinite(one.best):
        return found
    interval = drawing.between(one.low, one.high)
    told = [[None, f"best N {drawing.amount(one.best)} {interval} at {budget} FLOPs: {one.least:.4g}"]]
    bars = {
        "type": "data", "symmetric": False, "color": colour, "thickness": 1.4, "width": 4,
        "array": theme.numbers(np.array([one.high - one.best])),
        "arrayminus": theme.numbers(np.array([one.best - one.low])),
    }  # fmt: skip
    at = np.array([one.best]), np.array([one.least])
    best = drawing.points("best", *at, told, {**drawing.DIAMOND, "color": colour}, error_x=bars)
    return [*found, best]
