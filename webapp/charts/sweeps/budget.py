"""What the sweep has spent over time, the limit that it was given, and what it is thought to spend until its end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from django.utils import timezone

from webapp.charts import theme
from webapp.charts.sweeps import look, trials
from webapp.charts.sweeps.options import Option, option
from webapp.charts.sweeps.spending import spells, total
from webapp.charts.theme import Json
from webapp.metrics.points import Float64
from webapp.sweeps import budget
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import definition
from webapp.sweeps.states import CLOSED, LIVE

PLACE = 85
TITLE = "Budget"
QUESTION = "Will it end within its budget?"
MEASURES = {"gpu_hours": "GPU-hours", "trials": "trials", "flops": "FLOPs", "energy_kwh": "kWh"}
MOST_POINTS = 400


class BudgetData(NamedTuple):
    """`times` (n,) rising, in seconds since the epoch; `spent` (n,) by then. `end` and `expected`: where it is thought
    to end, None where nothing is known or it is over. `deadlines`: words by time."""

    measure: str
    times: Float64
    spent: Float64
    limit: float | None
    end: float | None
    expected: float | None
    deadlines: dict[float, str]


def applies(definition: Definition) -> bool:
    return True


def options(sweep: Sweep) -> list[Option]:
    """What has a limit comes first; trials always have one."""
    limits = definition(sweep).budget
    order = sorted(MEASURES, key=lambda name: getattr(limits, name, None) is None)
    return [option("measure", "of", [(name, MEASURES[name]) for name in order])]


def data(sweep: Sweep, measure: str = "gpu_hours", now: datetime | None = None) -> BudgetData:
    checked, now = definition(sweep), min(sweep.ended_at or now or timezone.now(), now or timezone.now())
    times, spent = _trials(sweep, now) if measure == "trials" else _spent(sweep, measure, now)
    limit = float(checked.trials) if measure == "trials" else getattr(checked.budget, measure)
    foretold = budget.forecast(sweep) if sweep.status in LIVE else None
    end = foretold.ends_at.timestamp() if foretold and foretold.ends_at else None
    return BudgetData(
        measure, times, spent, limit, end, _expected(measure, spent, foretold, checked), _deadlines(sweep)
    )


def _trials(sweep: Sweep, now: datetime) -> tuple[Float64, Float64]:
    """How many were over by when; stopped and failed ones count."""
    found = trials.read(sweep, params=False)
    ended = np.sort(found.ended[np.isin(found.statuses, sorted(CLOSED)) & np.isfinite(found.ended)])
    times = np.concatenate([[sweep.created_at.timestamp()], ended, [max([now.timestamp(), *ended[-1:]])]])
    return times, np.concatenate([np.arange(len(ended) + 1), [len(ended)]]).astype(float)


def _spent(sweep: Sweep, measure: str, now: datetime) -> tuple[Float64, Float64]:
    """At each start and end of an attempt: between them it is a straight line."""
    found = spells(sweep, now)
    began, ended = np.array([one.began for one in found]), np.array([one.ended for one in found])
    until = (now - sweep.created_at).total_seconds()
    moments = np.unique(np.concatenate([[0.0], began, ended, [until]]))
    rates = np.array([getattr(one, measure) for one in found], np.float64)
    return sweep.created_at.timestamp() + moments, total(began, ended, rates, moments)


def _expected(measure: str, spent: Float64, foretold: budget.Forecast | None, checked: Definition) -> float | None:
    if foretold is None:
        return None
    if measure == "trials":
        return float(checked.trials)
    more = getattr(foretold, measure)
    return None if more is None else float(spent[-1] + more)


def _deadlines(sweep: Sweep) -> dict[float, str]:
    limits = definition(sweep).budget
    found = {limits.deadline.timestamp(): "deadline"} if limits.deadline else {}
    if limits.wall_hours is not None:
        until = sweep.created_at + timedelta(hours=limits.wall_hours)
        found[until.timestamp()] = f"limit of {limits.wall_hours:g} h"
    return found


def figure(data: BudgetData) -> Json:
    if not data.spent.any():
        return look.empty("Nothing is spent yet." if data.measure != "energy_kwh" else "No device has told its power.")
    return {
        "data": [_line(data), *_dotted(data)],
        "layout": theme.layout(
            "time (UTC)",
            MEASURES[data.measure],
            margin={"l": 54, "r": 24, "t": 18, "b": 40},
            xaxis={"type": "date"},
            yaxis={"rangemode": "tozero"},
            shapes=[*_limit(data), *(theme.vertical(1000 * at, "--bad", "dash") for at in data.deadlines)],
            annotations=list(_labels(data)),
            meta=look.caption(_said(data)),
        ),
    }


def _line(data: BudgetData) -> Json:
    shown = trials.thinned(len(data.times), MOST_POINTS)
    shape = "hv" if data.measure == "trials" else "linear"
    return {
        "type": "scatter", "mode": "lines", "name": "spent", "fill": "tozeroy", "fillcolor": "--accent/0.08",
        "x": theme.numbers(1000 * data.times[shown]), "y": theme.numbers(data.spent[shown]),
        "line": {"color": "--accent", "width": 1.8, "shape": shape}, "hovertemplate": "%{y:.4g}",
    }  # fmt: skip


def _dotted(data: BudgetData) -> list[Json]:
    if data.end is None or data.expected is None:
        return []
    x, y = [1000 * data.times[-1], 1000 * data.end], [data.spent[-1], data.expected]
    line = {"color": "--accent", "width": 1.4, "dash": "dot"}
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "expected",
            "x": x,
            "y": y,
            "line": line,
            "hovertemplate": "%{y:.4g}",
        }
    ]


def _limit(data: BudgetData) -> list[Json]:
    if data.limit is None:
        return []
    line = {"color": "--bad", "width": 1, "dash": "dash"}
    ends = {"xref": "paper", "x0": 0, "x1": 1, "y0": data.limit, "y1": data.limit}
    return [{"type": "line", "line": line, **ends}]


def _labels(data: BudgetData) -> Any:
    red = {"size": 10, "color": "--bad"}
    if data.limit is not None:
        words = f"{data.limit:.4g} {MEASURES[data.measure]}"
        yield theme.label(words, 0, data.limit, xref="paper", yshift=8, font=red)
    for at, words in data.deadlines.items():
        yield theme.label(words, 1000 * at, 1, yref="paper", xanchor="right", yanchor="top", xshift=-4, font=red)


def _said(data: BudgetData) -> str:
    unit = MEASURES[data.measure]
    of_limit = f" of {data.limit:.4g}" if data.limit is not None else ""
    more = f", {data.expected:.4g} expected" if data.expected is not None else ""
    return f"{data.spent[-1]:.4g}{of_limit} {unit}{more}"
