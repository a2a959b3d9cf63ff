"""The seeds of the best trials, their means and intervals; tuning seeds chose the winner, test seeds report it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from webapp.charts import theme
from webapp.charts.sweeps import look, trials
from webapp.charts.sweeps.options import Option, objectives
from webapp.charts.theme import Json
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Replicate, Sweep
from webapp.sweeps.queries import definition
from webapp.sweeps.states import Role
from webapp.sweeps.statistics import Interval, interval

PLACE = 25
TITLE = "Seeds"
QUESTION = "Is the best trial better, or lucky?"
TOP = 8
APART = {Role.TUNE: 0.0, Role.TEST: 0.28}  # of a row's height, so that both are seen
COLOURS = {Role.TUNE: "--series-1", Role.TEST: "--series-2"}
NAMES = {Role.TUNE: "tuning seeds", Role.TEST: "test seeds, on the test split"}


class Strip(NamedTuple):
    """One trial's seeds of one role. `row` counts from 0, the best trial's."""

    row: int
    trial: int
    role: str
    seeds: list[int]
    values: list[float]
    interval: Interval


class Seeds(NamedTuple):
    metric: str
    confidence: float
    strips: list[Strip]
    trials: list[int]


def applies(definition: Definition) -> bool:
    return definition.seeds.tune > 1 or definition.seeds.test > 0


def options(sweep: Sweep) -> list[Option]:
    return objectives(definition(sweep))


def data(sweep: Sweep, objective: str = "0") -> Seeds:
    checked, place = definition(sweep), int(objective)
    found = trials.read(sweep, params=False)
    found = found.take(found.has_succeeded)
    order = np.argsort(look.goal(checked, place) * found.values[:, place], kind="stable")
    best = found.numbers[order[:TOP]].tolist()
    return of(best, _samples(sweep, best, place), checked.objective[place].metric, checked.seeds.confidence)


def _samples(sweep: Sweep, numbers: Sequence[int], place: int) -> dict[tuple[int, str], dict[int, float]]:
    runs = Replicate.objects.filter(trial__sweep=sweep, trial__number__in=numbers).order_by("seed")
    found: dict[tuple[int, str], dict[int, float]] = {}
    for number, role, seed, values in runs.values_list("trial__number", "role", "seed", "values"):
        if values and values[place] is not None and np.isfinite(values[place]):
            found.setdefault((number, role), {})[seed] = values[place]
    return found


def of(
    best: Sequence[int], samples: Mapping[tuple[int, str], Mapping[int, float]], metric: str, confidence: float
) -> Seeds:
    """`samples`: {(trial, role): {seed: value}}; `best`: trials, best first."""
    strips = [
        Strip(row, trial, role, list(told), list(told.values()), interval(list(told.values()), confidence))
        for row, trial in enumerate(best)
        for role in (Role.TUNE, Role.TEST)
        if (told := samples.get((trial, role)))
    ]
    return Seeds(metric, confidence, strips, list(best))


def figure(data: Seeds) -> Json:
    if not data.strips:
        return look.empty("No trial has the values of its seeds yet.")
    rows = range(len(data.trials))
    return {
        "data": [trace for role in Role if (strips := [s for s in data.strips if s.role == role])
                 for trace in _traces(strips, role)],
        "layout": theme.layout(
            theme.plain(data.metric),
            hovermode="closest",
            showlegend=True,
            margin={"l": 16, "r": 16, "t": 26, "b": 40},
            xaxis={"showgrid": True, "gridcolor": "--rule"},
            yaxis={
                "tickvals": list(rows), "ticktext": [f"trial {trial}" for trial in data.trials], "showgrid": False,
                "range": [len(data.trials) - 0.4, -0.6], "automargin": True, "ticks": "",
            },
            meta=look.caption(f"mean and its {data.confidence:.0%} interval", f"the best {len(data.trials)}"),
        ),
    }  # fmt: skip


def _traces(strips: Sequence[Strip], role: Role) -> Iterator[Json]:
    colour, name = COLOURS[role], NAMES[role]
    y = [strip.row + APART[role] for strip in strips]
    dots = [(value, place, strip.trial, seed) for strip, place in zip(strips, y, strict=True)
            for value, seed in zip(strip.values, strip.seeds, strict=True)]  # fmt: skip
    at = np.array([dot[:2] for dot in dots], np.float64).T
    marker = {"size": 6, "color": f"{colour}/0.45"}
    hover = "trial %{customdata[0]}, seed %{customdata[1]}: %{x:.5g}"
    told = [[trial, seed] for *_, trial, seed in dots]
    yield look.dots(name, at[0], at[1], told, marker, hover) | {"showlegend": False}
    yield _means(strips, y, colour, name)


def _means(strips: Sequence[Strip], y: Sequence[float], colour: str, name: str) -> Json:
    means = np.array([strip.interval.mean for strip in strips])
    bounds = [(s.interval.low, s.interval.high) for s in strips]
    low, high = np.array(bounds, np.float64).T
    words = [f"{strip.interval.mean:.5g}, {strip.interval.n} seeds" for strip in strips]
    told = [[strip.trial, words[place]] for place, strip in enumerate(strips)]
    sizes = {"array": theme.numbers(high - means), "arrayminus": theme.numbers(means - low), "symmetric": False}
    marker = {"size": 11, "symbol": "line-ns", "color": colour, "line": {"width": 2.4, "color": colour}}
    mean = look.dots(name, means, np.array(y), told, marker, "trial %{customdata[0]}: mean %{customdata[1]}")
    return mean | {"error_x": {"type": "data", "thickness": 1.4, "width": 4, "color": colour, **sizes}}
