"""What the charts of scaling fits share in their looks: axes with few ticks, bands, points that are runs, words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webapp.charts import theme
from webapp.charts.sweeps import look
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.scaling.reading import Reading

BAND = 0.14  # opacity
MOST_POINTS = 3000  # of more, so many are drawn, evenly thinned
MOST_TICKS = 6
SIZES = [[0, "--series-2"], [0.5, "--series-6"], [1, "--series-7"]]  # colours from the smallest to the largest
RING = {"size": 11, "symbol": "circle-open", "color": "--ink", "line": {"width": 1.6, "color": "--ink"}}
DIAMOND = {"size": 10, "symbol": "diamond", "line": {"width": 1, "color": "--surface"}}


def amount(value: float) -> str:
    """Like 0.002, 20k, 5M or 3e21."""
    return look.amount(value).replace("e+", "e")


def between(low: float, high: float) -> str:
    """An interval in words; nothing where there is none."""
    return f"({short(low)} to {short(high)})" if math.isfinite(low) and math.isfinite(high) else ""


def log_axis(low: float, high: float) -> Json:
    """From low to high, positive: powers of ten, or in a narrow range their multiples, or evenly spaced numbers."""
    powers = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    for factors in ((1,), (1, 3), (1, 2, 5)):
        ticks = [factor * power for power in powers for factor in factors if low <= factor * power <= high]
        if len(ticks) >= 3:
            break
    else:
        ticks = even(low, high)
    ticks = ticks[:: math.ceil(len(ticks) / MOST_TICKS)]
    return {
        "type": "log", "tickvals": ticks, "ticktext": [_tick(value) for value in ticks],
        "range": [math.log10(low), math.log10(high)],
    }  # fmt: skip


def even(low: float, high: float) -> list[float]:
    """Round numbers, evenly spaced, at least two."""
    size = 10.0 ** math.floor(math.log10(high - low))
    for step in (size, size / 2, size / 4, size / 5, size / 10):
        first = math.ceil(low / step - 1e-9)
        ticks = [float(f"{n * step:.6g}") for n in range(first, math.floor(high / step + 1e-9) + 1)]
        if len(ticks) >= 3:
            break
    return ticks


def _tick(value: float) -> str:
    if 1e-4 <= value < 1e12:
        return look.amount(value)
    power = math.floor(math.log10(value) + 1e-9)
    factor = value / 10.0**power
    return f"10<sup>{power}</sup>" if abs(factor - 1) < 1e-6 else f"{factor:.3g}&times;10<sup>{power}</sup>"


def axis(values: Sequence[Float64], is_log: bool, room: float = 0.04) -> Json:
    """Around all these values, with some room on both sides; a logarithmic one needs positive values."""
    joined = np.concatenate([np.ravel(each) for each in values])
    joined = joined[np.isfinite(joined) & ((joined > 0) | (not is_log))]
    if not len(joined):
        return {}
    low, high = float(joined.min()), float(joined.max())
    if is_log:
        spread = max(math.log(high / low), 0.02)
        return log_axis(low * math.exp(-room * spread), high * math.exp(room * spread))
    spread = (high - low) or abs(high) or 1.0
    return {"range": [low - room * spread, high + room * spread], "nticks": MOST_TICKS + 2}


def is_wide(values: Float64, times: float = 5.0) -> bool:
    """Whether they are better seen on a logarithmic axis."""
    return bool(len(values) and (values > 0).all() and values.max() > times * values.min())


def band(x: Float64, low: Float64, high: Float64, colour: str, **more: Any) -> list[Json]:
    """There and back; nothing where it is not known."""
    known = np.isfinite(low) & np.isfinite(high)
    if known.sum() < 2:
        return []
    x, low, high = x[known], low[known], high[known]
    around = np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]])
    style = {"fill": "toself", "fillcolor": f"{colour}/{BAND}", "showlegend": False}
    return [look.line("band", *around, {"width": 0, "color": colour}) | style | more]


def points(name: str, x: NDArray[Any], y: NDArray[Any], told: list[list[Any]], marker: Json, **more: Any) -> Json:
    """`told[i]`: the run's number or None, and the words that hovering shows."""
    trace = look.dots(name, x, y, told, marker, "%{customdata[1]}")
    return trace | {"meta": {"points": "runs"}} | more


def thinned(count: int) -> NDArray[np.intp]:
    return np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(np.intp)


def named(run: Any, row: int) -> str:
    """A point as people know it, for a text that may hold markup."""
    return f"row {row + 1}" if run is None else f"run {run}" if isinstance(run, int) else theme.plain(str(run))


def told(reading: Reading) -> list[list[Any]]:
    """Of each fitted point: its run's number where it has one, and its name with its values."""
    columns = {name: values for name, values in reading.points.items() if np.isfinite(values).any()}
    runs = reading.runs or [None] * len(reading.rows)
    lines = zip(*(values.tolist() for values in columns.values()), strict=True)
    words = [values_in_words(dict(zip(columns, line, strict=True))) for line in lines]
    return [
        [run if isinstance(run, int) else None, f"{named(run, row)}: {text}"]
        for run, row, text in zip(runs, reading.rows, words, strict=True)
    ]


def values_in_words(values: dict[str, float]) -> str:
    """Like N 5M, D 1.2G, loss 2.314"""
    return ", ".join(f"{theme.plain(name)} {short(value)}" for name, value in values.items())


def short(value: float) -> str:
    """Four digits for what is near 1, as losses are."""
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e3 else amount(value)


def title_of(reading: Reading, name: str) -> str:
    """Of the axis of a column, with its unit."""
    if name == "C":
        return "training compute C, FLOPs"
    if name == reading.law.target:
        return target_of(reading)
    unit = reading.law.variables.get(name, "")
    return theme.plain(f"{name}, {unit}" if unit else name)


def target_of(reading: Reading) -> str:
    """The target as it was asked for, which may be a metric of runs."""
    name = reading.law.target
    if name == "N_opt":
        return "best N, parameters"
    places = getattr(reading.spec.points, "x", {})
    return theme.plain(places.get(name, name))


def bands_in_words(reading: Reading) -> str:
    """What a band is, or why there is none."""
    known = reading.result["bootstrap"]
    if not reading.has_draws or known is None:
        return reading.notice or "too few resamples have a fit: no bands"
    return f"band: {reading.level:.0%} of {known['resamples']:,} resamples by {known['unit']}"
