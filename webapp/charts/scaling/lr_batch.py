"""The loss over learning rate and batch at one setting: measured points, a surface between them, the law's optimum.

The law is fitted to the best rates or batches; the runs around these are in the same source, which is read again here,
without its filter. A setting is all rows with the same N and D.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.scaling import drawing, source
from webapp.charts.sweeps import contour, look
from webapp.charts.sweeps.contour import Surface
from webapp.charts.sweeps.options import Option, option
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.scaling.reading import Reading

PLACE = 70
TITLE = "Learning rate and batch"
QUESTION = "Where is the optimum, how flat is it, and does the law hit it?"
IS_WIDE = False
MOST = 24  # settings to choose from


class Optimum(NamedTuple):
    """The law's value at the setting and its band, NaN where it is not known; `of` says of which axis."""

    of: str
    value: float
    low: float
    high: float


class Rates(NamedTuple):
    rate: Float64
    batch: Float64
    loss: Float64
    runs: list[Any]
    rows: list[int]
    surface: Surface | None
    optimum: Optimum | None
    words: list[str]
    notice: str


def applies(reading: Reading) -> bool:
    return bool(reading.law.name == "step_law")


def options(reading: Reading) -> list[Option]:
    found = source.rates(reading)
    names = [(str(place), _words(setting)) for place, setting in enumerate(found.settings[:MOST])]
    return [option("setting", "setting", names)] if names else []


def data(reading: Reading, setting: str = "0") -> Rates:
    nothing = np.empty(0)
    found = source.rates(reading)
    if not found.settings:
        return Rates(nothing, nothing, nothing, [], [], None, None, [], found.notice)
    chosen = found.settings[int(setting)]
    rows = chosen.rows
    rate, batch, loss = (column[rows] for column in (found.rate, found.batch, found.loss))
    runs = [None if found.runs is None else found.runs[row] for row in rows]
    best = _optimum(reading, chosen.at)
    words = [_words(chosen), "diamond: best run", "line: the law's optimum, with its band" if best else ""]
    return Rates(rate, batch, loss, runs, found.rows[rows].tolist(), surface(rate, batch, loss), best, words, "")


def surface(rate: Float64, batch: Float64, loss: Float64) -> Surface | None:
    """Linear between neighbours, in logarithms; those far off count as the limit. None where all lie on one line."""
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import QhullError

    places = np.log(np.column_stack([rate, batch]))
    low, span = places.min(0), np.ptp(places, axis=0)
    if not span.all():
        return None
    side = np.linspace(0, 1, contour.CELLS)
    try:
        read = LinearNDInterpolator((places - low) / span, np.minimum(loss, look.limit(loss, 1.0)))
    except QhullError:
        return None
    x, y = (np.exp(low[axis] + side * span[axis]) for axis in (0, 1))
    return Surface(x, y, np.asarray(read(np.stack(np.meshgrid(side, side), axis=-1)), np.float64))


def _optimum(reading: Reading, at: dict[str, float]) -> Optimum | None:
    if not set(reading.law.variables) <= at.keys():
        return None
    value, low, high = (float(side[0]) for side in reading.band(at))
    return Optimum(reading.law.of, value, low, high)


def _words(setting: source.Setting) -> str:
    at = ", ".join(f"{name} {drawing.amount(value)}" for name, value in setting.at.items()) or "all rows"
    return f"{at}: {len(setting.rows)} runs"


def figure(data: Rates) -> Json:
    if not len(data.loss):
        return look.empty(data.notice)
    shown = [data.rate] + ([np.array([data.optimum.value])] if data.optimum and data.optimum.of == "lr" else [])
    batches = [data.batch] + ([np.array([data.optimum.value])] if data.optimum and data.optimum.of == "batch" else [])
    far = "" if data.surface else "no surface: too few runs, or all on one line"
    return {
        "data": [*([_surface(data, data.surface)] if data.surface else []), _points(data), _best(data)],
        "layout": theme.layout(
            "learning rate",
            "batch",
            hovermode="closest",
            margin={"l": 60, "r": 16, "t": 8, "b": 40},
            xaxis=drawing.axis(shown, is_log=True, room=0.05),
            yaxis={**drawing.axis(batches, is_log=True, room=0.05), "showgrid": False},
            shapes=_law(data.optimum) if data.optimum else [],
            meta=look.caption(*data.words, far),
        ),
    }  # fmt: skip


def _law(optimum: Optimum) -> list[Json]:
    """Across the whole other axis: the law says nothing of that."""
    along, across = ("x", "y") if optimum.of == "lr" else ("y", "x")
    whole = {f"{across}ref": "paper", f"{across}0": 0, f"{across}1": 1}
    line = {"type": "line", f"{along}0": optimum.value, f"{along}1": optimum.value, **whole}
    found: list[Json] = [line | {"line": {"color": "--ink", "width": 1.8}}]
    if np.isfinite([optimum.low, optimum.high]).all():
        area = {"type": "rect", f"{along}0": optimum.low, f"{along}1": optimum.high, **whole}
        found.append(area | {"fillcolor": "--ink/0.12", "line": {"width": 0}})
    return found


def _colours(data: Rates) -> Json:
    return {"colorscale": look.SCALE, "cmin": float(data.loss.min()), "cmax": look.limit(data.loss, 1.0)}


def _surface(data: Rates, surface: Surface) -> Json:
    colours = _colours(data)
    return {
        "type": "contour", "x": theme.numbers(surface.x), "y": theme.numbers(surface.y), "hoverinfo": "skip",
        "z": [theme.numbers(line) for line in surface.z], "connectgaps": False, "opacity": 0.8, "ncontours": 14,
        "colorscale": look.SCALE, "zmin": colours["cmin"], "zmax": colours["cmax"],
        "line": {"width": 0.6, "color": "--surface"}, "colorbar": look.colour_bar("loss"),
    }  # fmt: skip


def _points(data: Rates) -> Json:
    marker = {"size": 7, "color": theme.numbers(data.loss), "line": {"width": 0.8, "color": "--surface"}}
    return drawing.points("runs", data.rate, data.batch, _told(data), marker | _colours(data))


def _best(data: Rates) -> Json:
    place = int(np.argmin(data.loss))
    run, words = _told(data)[place]
    told = [[run, f"best, {words}"]]
    marker = {**drawing.DIAMOND, "size": 11, "color": "--accent"}
    return drawing.points("best", data.rate[[place]], data.batch[[place]], told, marker)


def _told(data: Rates) -> list[list[Any]]:
    columns = zip(data.runs, data.rows, data.loss.tolist(), data.rate.tolist(), data.batch.tolist(), strict=True)
    return [
        [run if isinstance(run, int) else None,
         f"{drawing.named(run, row)}: loss {loss:.4g} at lr {rate:.3g}, batch {drawing.amount(batch)}"]
        for run, row, loss, rate, batch in columns
    ]  # fmt: skip
