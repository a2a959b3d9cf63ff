"""Two or three things that a trial is good at, against each other: objectives, costs, or whatever its runs have logged.

A trial is on the front when no other is at least as good in everything and better in something.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from webapp.accounts.errors import Invalid
from webapp.charts import theme
from webapp.charts.sweeps import look, trials
from webapp.charts.sweeps.options import Option, option
from webapp.charts.theme import Json
from webapp.metrics.points import Float64, Int64
from webapp.metrics.queries import names, summaries
from webapp.runs.states import Status
from webapp.sweeps.definition import Definition
from webapp.sweeps.measures.pareto import front
from webapp.sweeps.models import Replicate, Sweep
from webapp.sweeps.queries import definition
from webapp.sweeps.states import Role, TrialStatus
from webapp.sweeps.statistics import interval

PLACE = 60
TITLE = "Pareto front"
QUESTION = "What does a better value cost?"
METRIC = "metric:"
NONE = ""
MOST_DOTS = 2000


class Fact(NamedTuple):
    """A number of each run: where it lies, its unit's size, and 1 where less is better."""

    title: str
    path: str
    goal: float = 1.0
    size: float = 1.0


FACTS = {
    "trainable": Fact("trainable parameters", "facts__parameters__trainable"),
    "parameters": Fact("parameters", "facts__parameters__total"),
    "memory": Fact("peak memory, GiB", "result__memory__peak_bytes", size=2**30),
    "stored": Fact("stored, MiB", "result__stored_bytes", size=2**20),
    "tokens_per_second": Fact("tokens/s", "result__speed__tokens_per_second", -1.0),
    "samples_per_second": Fact("samples/s", "result__speed__samples_per_second", -1.0),
    "flops": Fact("training FLOPs", "result__flops__total"),
    "seconds": Fact("training time, s", "result__wall_time_s"),
}
GOALS = {"": "as it is meant", "minimize": "less", "maximize": "more"}


class Measure(NamedTuple):
    """`values` (n,): each trial's mean over its tuning seeds; `low` and `high` (n,) bound it, NaN with one seed."""

    title: str
    goal: float
    values: Float64
    low: Float64
    high: Float64


class Pareto(NamedTuple):
    """n trials that have all measures. `is_front` (n,); `shown` are places among them."""

    numbers: Int64
    measures: list[Measure]
    is_front: NDArray[np.bool_]
    shown: Int64


def applies(definition: Definition) -> bool:
    return True


def options(sweep: Sweep) -> list[Option]:
    """With one objective its cost is the time that it trains."""
    measures = _choices(sweep)
    first, second = measures[0], measures[1] if len(definition(sweep).objective) > 1 else ("seconds", "")
    others = [*(one for one in measures if one[0] == second[0]), *(one for one in measures if one[0] != second[0])]
    third = measures[2:3] if len(definition(sweep).objective) > 2 else []
    rest = [one for one in measures if one not in third]
    return [
        option("x", "x", others),
        option("y", "y", [first, *measures[1:]]),
        option("colour", "colour", [*third, (NONE, "none"), *rest]),
        option("x_goal", "better x is", GOALS.items()),
        option("y_goal", "better y is", GOALS.items()),
        option("colour_goal", "better colour is", GOALS.items()),
    ]


def _choices(sweep: Sweep) -> list[tuple[str, str]]:
    """Objectives, facts, and the other metrics of the newest run that went well."""
    checked = definition(sweep)
    objectives = [(str(place), one.metric) for place, one in enumerate(checked.objective)]
    runs = Replicate.objects.filter(trial__sweep=sweep, run__status=Status.SUCCEEDED).order_by("-run_id")
    run_id = runs.values_list("run_id", flat=True).first()
    known = {one.metric for one in checked.objective}
    logged = [name for name in names(run_id) if name not in known] if run_id else []
    facts = [(name, fact.title) for name, fact in FACTS.items()]
    return [*objectives, *facts, *((f"{METRIC}{name}", name) for name in logged)]


def data(
    sweep: Sweep, x: str, y: str, colour: str = NONE, x_goal: str = "", y_goal: str = "", colour_goal: str = ""
) -> Pareto:
    """Raises Invalid when x and y are the same."""
    if x == y:
        raise Invalid.field("y", f"y must be another measure than x, not {y!r} again.")
    asked = [(name, goal) for name, goal in ((x, x_goal), (y, y_goal), (colour, colour_goal)) if name != NONE]
    numbers, samples = _samples(sweep, [name for name, _ in asked])
    confidence = definition(sweep).seeds.confidence
    measures = [
        measure(*_named(sweep, name, goal), [samples[name][number] for number in numbers], confidence)
        for name, goal in asked
    ]
    return of(np.array(numbers, np.int64), measures)


def of(numbers: Int64, measures: Sequence[Measure]) -> Pareto:
    losses = np.column_stack([one.goal * one.values for one in measures])
    is_front = np.array(front(losses.tolist()), bool)
    shown = trials.thinned(len(numbers), MOST_DOTS, np.flatnonzero(is_front))
    return Pareto(numbers, list(measures), is_front, shown)


def measure(title: str, goal: float, samples: Sequence[Sequence[float]], confidence: float = 0.95) -> Measure:
    """`samples`: the values of each trial's seeds, at least one."""
    found = [interval(values, confidence) for values in samples]
    bounds = [(one.low, one.high) if one.low is not None else (np.nan, np.nan) for one in found]
    low, high = np.array(bounds, np.float64).reshape(len(found), 2).T
    return Measure(title, goal, np.array([one.mean for one in found], np.float64), low, high)


def _named(sweep: Sweep, name: str, goal: str) -> tuple[str, float]:
    """Title and goal of a measure. A metric that is no objective is better when less, unless the reader says else."""
    turned = {"minimize": 1.0, "maximize": -1.0}.get(goal)
    if name.startswith(METRIC):
        return name.removeprefix(METRIC), turned or 1.0
    if name in FACTS:
        return FACTS[name].title, turned or FACTS[name].goal
    checked = definition(sweep)
    return checked.objective[int(name)].metric, turned or look.goal(checked, int(name))


def _samples(sweep: Sweep, asked: Sequence[str]) -> tuple[list[int], dict[str, Mapping[int, list[float]]]]:
    """The trials that have all of it, and {measure: {trial: its seeds' values}}."""
    paths = [f"run__{FACTS[name].path}" for name in asked if name in FACTS]
    runs = Replicate.objects.filter(trial__sweep=sweep, role=Role.TUNE, trial__status=TrialStatus.SUCCEEDED)
    rows = list(runs.order_by("trial__number").values_list("trial__number", "run_id", "values", *paths))
    logged = [name.removeprefix(METRIC) for name in asked if name.startswith(METRIC)]
    told = summaries([row[1] for row in rows], logged) if logged else {}
    found: dict[str, dict[int, list[float]]] = {name: defaultdict(list) for name in asked}
    for number, run_id, values, *facts in rows:
        fact = iter(facts)
        for name in asked:
            if name in FACTS:
                value = _sized(next(fact), FACTS[name].size)
            elif name.startswith(METRIC):
                summary = told[run_id].get(name.removeprefix(METRIC))
                value = None if summary is None else summary.last
            else:
                value = values[int(name)] if values else None
            if value is not None and np.isfinite(value):
                found[name][number].append(float(value))
    numbers = sorted(set.intersection(*(set(each) for each in found.values())))
    return numbers, dict(found)


def _sized(value: Any, size: float) -> float | None:
    return value / size if isinstance(value, int | float) else None


def figure(data: Pareto) -> Json:
    if not len(data.numbers):
        return look.empty("No trial that succeeded has both of these.")
    x, y = data.measures[:2]
    is_front = data.is_front[data.shown]
    groups = [("dominated", data.shown[~is_front]), ("front", data.shown[is_front])]
    return {
        "data": [*([] if len(data.measures) > 2 else [_line(data)]), *(_dots(data, *group) for group in groups)],
        "layout": theme.layout(
            theme.plain(x.title),
            theme.plain(y.title),
            hovermode="closest",
            margin={"l": 60, "r": 16, "t": 8, "b": 40},
            xaxis=_axis(x),
            annotations=_labels(data),
            meta=look.caption(_said(data), look.few_of(len(data.shown), len(data.numbers))),
        )
        | {"yaxis": {"title": {"text": theme.plain(y.title)}, **_axis(y)}},
    }


def _axis(one: Measure) -> Json:
    """Counts over orders of magnitude are drawn by their logarithms."""
    low, high = one.values.min(), one.values.max()
    return {"type": "log"} if low > 0 and high / low > 50 else {"type": "linear"}


def _line(data: Pareto) -> Json:
    """The edge of what is dominated, as steps from the best x to the worst."""
    x, y = data.measures[:2]
    places = np.flatnonzero(data.is_front)
    places = places[np.lexsort((y.goal * y.values[places], x.goal * x.values[places]))]
    return {
        "type": "scatter", "mode": "lines", "line": {"color": "--accent", "width": 1.6, "shape": "hv"},
        "x": theme.numbers(x.values[places]), "y": theme.numbers(y.values[places]), "hoverinfo": "skip",
    }  # fmt: skip


def _dots(data: Pareto, name: str, chosen: Int64) -> Json:
    x, y = data.measures[:2]
    on_front = name == "front"
    marker: Json = {"size": 8 if on_front else 5, "color": "--accent" if on_front else "--ink-3/0.35"}
    if len(data.measures) > 2:
        marker |= _colours(data.measures[2], chosen) | ({"line": {"width": 1.6, "color": "--ink"}} if on_front else {})
    told = [[int(data.numbers[i]), *(f"{one.values[i]:.5g}" for one in data.measures)] for i in chosen]
    words = ", ".join(f"{theme.plain(one.title)} %{{customdata[{k}]}}" for k, one in enumerate(data.measures, 1))
    trace = look.dots(name, x.values[chosen], y.values[chosen], told, marker, f"trial %{{customdata[0]}}: {words}")
    bars = {f"error_{side}": _bars(one, chosen, marker) for side, one in (("x", x), ("y", y)) if on_front}
    return trace | bars


def _colours(third: Measure, chosen: Int64) -> Json:
    bar = {
        "title": {"text": theme.plain(third.title), "side": "right"},
        "thickness": 8,
        "outlinewidth": 0,
        "ticklen": 3,
    }
    return {
        "color": theme.numbers(third.values[chosen]), "colorscale": look.SCALE, "reversescale": third.goal < 0,
        "colorbar": bar, "cmin": float(third.values.min()), "cmax": float(third.values.max()), "showscale": True,
    }  # fmt: skip


def _bars(one: Measure, chosen: Int64, marker: Json) -> Json:
    """The intervals of the front's trials, where they have several seeds."""
    if not np.isfinite(one.low[chosen]).any():
        return {"visible": False}
    up, down = one.high[chosen] - one.values[chosen], one.values[chosen] - one.low[chosen]
    sizes = {"array": theme.numbers(up), "arrayminus": theme.numbers(down), "symmetric": False}
    return {"type": "data", "thickness": 1, "width": 0, "color": "--accent", **sizes}


def _labels(data: Pareto) -> list[Json]:
    """Trial numbers beside a front of few."""
    places = np.flatnonzero(data.is_front)
    x, y = data.measures[:2]
    if len(places) > 8:
        return []
    return [
        theme.label(
            str(data.numbers[i]), _drawn(x, i), _drawn(y, i), xshift=7, yshift=8, font={"size": 10, "color": "--accent"}
        )
        for i in places.tolist()
    ]


def _drawn(one: Measure, place: int) -> float:
    value = float(one.values[place])
    return float(np.log10(value)) if _axis(one)["type"] == "log" else value


def _said(data: Pareto) -> str:
    sides = zip(("x", "y", "colour"), data.measures, strict=False)
    better = ", ".join(f"{'less' if one.goal > 0 else 'more'} {side}" for side, one in sides)
    return f"{int(data.is_front.sum())} on the front · better is {better}"
