"""What was foretold of a trial's final value, step by step, against what it came to.

Forecasts are the stopper's (webapp/sweeps/stoppers/predicted.py): a mean, and the band from the 5 % to the 95 %
quantile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from django.db.models import Q

from webapp.charts import theme
from webapp.charts.sweeps import look, trials
from webapp.charts.sweeps.options import Option, option
from webapp.charts.sweeps.series import curves_of
from webapp.charts.theme import Json
from webapp.metrics.decimate import keep
from webapp.metrics.points import Float64
from webapp.sweeps.calibration import STATED, Accuracy, accuracy
from webapp.sweeps.curves import Curve
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.queries import definition
from webapp.sweeps.states import TrialStatus

PLACE = 75
TITLE = "Forecasts"
QUESTION = "Were trials rightly given up?"
MOST_SIBLINGS = 40
MOST_POINTS = 150
MOST_CHOICES = 200


class Band(NamedTuple):
    """What was foretold at each of `steps` (n,) for `target`: means and the band's ends, each (n,), as measured."""

    steps: Float64
    target: int
    mean: Float64
    low: Float64
    high: Float64
    chance: float | None  # the last one


class Forecasts(NamedTuple):
    """`trial` is None when nothing was ever foretold; `final` is None for a trial that did not come to its end."""

    metric: str
    goal: float
    trial: int | None
    own: Curve | None
    siblings: list[Curve]
    band: Band | None
    final: float | None
    accuracy: Accuracy


def applies(definition: Definition) -> bool:
    return getattr(definition.stopper, "name", "") == "predicted"


def options(sweep: Sweep) -> list[Option]:
    """The newest trials with a forecast; a reader may ask for another by its number."""
    found = Trial.objects.filter(sweep=sweep).exclude(forecasts=[]).order_by("-number")
    numbers = [str(number) for number in found.values_list("number", flat=True)[:MOST_CHOICES]]
    choices = [(number, f"trial {number}") for number in numbers] or [("0", "none yet")]
    return [option("trial", "of", choices)._replace(is_open=True)]


def data(sweep: Sweep, trial: str) -> Forecasts:
    checked, found = definition(sweep), trials.read(sweep, params=False)
    goal, number = look.goal(checked, 0), int(trial)
    done = found.has_succeeded
    finals = dict(zip(found.numbers[done].tolist(), found.values[done, 0].tolist(), strict=True))
    told = _told(sweep, number)
    spread = found.numbers[trials.thinned(len(found.numbers), MOST_SIBLINGS)].tolist()
    curves = {curve.trial: curve for curve in curves_of(sweep, [*spread, number])}
    band = of(told[number], goal) if number in told else None
    siblings = [curve for other, curve in curves.items() if other != number]
    return Forecasts(checked.objective[0].metric, goal, number if band else None, curves.get(number), siblings, band,
                     finals.get(number), accuracy(told, {n: goal * v for n, v in finals.items()}))  # fmt: skip


def of(forecasts: Sequence[Mapping[str, Any]], goal: float) -> Band:
    """Forecasts are kept such that less is better."""
    columns = np.array([[one[key] for key in ("step", "mean", "low", "high")] for one in forecasts], np.float64).T
    low, high = sorted((goal * columns[2], goal * columns[3]), key=lambda side: float(side[0]))
    return Band(
        columns[0], int(forecasts[-1]["target_step"]), goal * columns[1], low, high, forecasts[-1].get("chance")
    )


def _told(sweep: Sweep, trial: int) -> dict[int, list[dict[str, Any]]]:
    """{trial: its forecasts}: this one's, and of all that came to their end."""
    found = Trial.objects.filter(Q(number=trial) | Q(status=TrialStatus.SUCCEEDED), sweep=sweep)
    return dict(found.exclude(forecasts=[]).values_list("number", "forecasts"))


def figure(data: Forecasts) -> Json:
    if data.trial is None or data.band is None:
        return look.empty("Nothing has been foretold of this trial.")
    lines = [data.goal * values[np.isfinite(values)] for values in (curve.values for curve in _curves(data))]
    lines = [*(line for line in lines if len(line)), data.band.low, data.band.mean]
    return {
        "data": [*_siblings(data), *_band(data.band), *_own(data), *_final(data)],
        "layout": theme.layout(
            "step",
            theme.plain(data.metric),
            hovermode="closest",
            showlegend=True,
            margin={"l": 54, "r": 16, "t": 26, "b": 40},
            yaxis={"range": look.extent(lines, data.goal)},
            meta=look.caption(*_said(data)),
        ),
    }


def _said(data: Forecasts) -> list[str]:
    chance = data.band.chance if data.band else None
    last = f"its chance at last {chance:.1%}" if chance is not None and data.final is None else ""
    held = data.accuracy
    return [f"the {held.stated:.0%} band held {held.inside:,} of {held.n:,}" if held.n else "", last]


def _curves(data: Forecasts) -> list[Curve]:
    return [*data.siblings, *([data.own] if data.own else [])]


def _siblings(data: Forecasts) -> list[Json]:
    x, y = look.joined(_few(curve) for curve in data.siblings)
    faint = {"color": "--ink-3/0.18", "width": 1}
    return [look.line("other trials", x, data.goal * y, faint, showlegend=False)] if data.siblings else []


def _few(curve: Curve) -> tuple[Float64, Float64]:
    chosen = keep(curve.steps.astype(float), curve.values, MOST_POINTS)
    return curve.steps[chosen].astype(float), curve.values[chosen]


def _band(band: Band) -> list[Json]:
    """At each step, what was then foretold for the end."""
    name = f"what was foretold for step {band.target:,}"
    if len(band.steps) == 1:
        return [_bar(band, name)]
    told = [f"{low:.5g} to {high:.5g}" for low, high in zip(band.low, band.high, strict=True)]
    hover = "foretold at step %{x:,}: %{y:.5g} (%{customdata})"
    filled = {"fill": "tonexty", "fillcolor": "--series-2/0.2"}
    dotted = {"color": "--series-2", "width": 1.4, "dash": "dot"}
    return [
        look.line("", band.steps, band.low, {"width": 0}, showlegend=False),
        look.line(f"{name}, {STATED:.0%} band", band.steps, band.high, {"width": 0}, **filled),
        look.line("its mean", band.steps, band.mean, dotted, hover, customdata=told, showlegend=False),
    ]


def _bar(band: Band, name: str) -> Json:
    """A single forecast, at the end."""
    sizes = {"array": [float(band.high[0] - band.mean[0])], "arrayminus": [float(band.mean[0] - band.low[0])]}
    bar = {"type": "data", "symmetric": False, "color": "--series-2", "thickness": 1.6, "width": 6, **sizes}
    at, marker = np.array([band.target]), {"size": 7, "color": "--series-2"}
    return look.line(name, at, band.mean, {}, "foretold: %{y:.5g}", mode="markers", marker=marker, error_y=bar)


def _own(data: Forecasts) -> list[Json]:
    if data.own is None:
        return []
    x, y = _few(data.own)
    style = {"color": "--accent", "width": 1.8}
    return [look.line(f"trial {data.trial}", x, data.goal * y, style, "step %{x:,}: %{y:.5g}")]


def _final(data: Forecasts) -> list[Json]:
    if data.final is None or data.band is None:
        return []
    marker = {"size": 9, "symbol": "diamond", "color": "--accent"}
    at, value = np.array([data.band.target]), np.array([data.final])
    return [look.line("what it came to", at, value, {}, "it came to %{y:.5g}", mode="markers", marker=marker)]
