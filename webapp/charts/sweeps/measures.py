"""What can be an axis of a trade-off: objectives, facts that runs tell of themselves, other metrics."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from django.db.models import QuerySet

from webapp.charts.sweeps import look
from webapp.metrics.points import Float64
from webapp.metrics.queries import names, summaries
from webapp.runs.states import Status
from webapp.sweeps.models import Replicate, Sweep, Trial
from webapp.sweeps.queries import definition
from webapp.sweeps.states import Role, TrialStatus

METRIC = "metric:"  # before the name of a metric that is no objective


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


class Measure(NamedTuple):
    """Of n trials: the values of each one's tuning seeds and (n,) their means. `goal` is 1 where less is better."""

    title: str
    goal: float
    samples: list[list[float]]
    values: Float64


def choices(sweep: Sweep) -> list[tuple[str, str]]:
    """Names and titles: objectives, facts, and the other metrics of the newest run that went well."""
    checked = definition(sweep)
    objectives = [(str(place), one.metric) for place, one in enumerate(checked.objective)]
    runs = Replicate.objects.filter(trial__sweep=sweep, run__status=Status.SUCCEEDED).order_by("-run_id")
    run_id = runs.values_list("run_id", flat=True).first()
    known = {one.metric for one in checked.objective}
    logged = [name for name in names(run_id) if name not in known] if run_id else []
    facts = [(name, fact.title) for name, fact in FACTS.items()]
    return [*objectives, *facts, *((f"{METRIC}{name}", name) for name in logged)]


def measured(sweep: Sweep, asked: Sequence[tuple[str, str]]) -> tuple[list[int], list[Measure]]:
    """The trials that succeeded and have all of it. `asked`: names, and "minimize", "maximize" or "" (as usual)."""
    found = [_samples(sweep, name) for name, _ in asked]
    numbers = sorted(set.intersection(*(set(each) for each in found)))
    return numbers, [
        measure(*_titled(sweep, name, goal), [each[number] for number in numbers])
        for (name, goal), each in zip(asked, found, strict=True)
    ]


def measure(title: str, goal: float, samples: Sequence[Sequence[float]]) -> Measure:
    """`samples`: the values of each trial's seeds, at least one."""
    means = np.array([sum(values) / len(values) for values in samples], np.float64)
    return Measure(title, goal, [list(values) for values in samples], means)


def _titled(sweep: Sweep, name: str, goal: str) -> tuple[str, float]:
    """Title and goal. Of a metric that is no objective less is better, unless the reader says else."""
    turned = {"minimize": 1.0, "maximize": -1.0}.get(goal)
    if name.startswith(METRIC):
        return name.removeprefix(METRIC), turned or 1.0
    if name in FACTS:
        return FACTS[name].title, turned or FACTS[name].goal
    checked = definition(sweep)
    return checked.objective[int(name)].metric, turned or look.goal(checked, int(name))


def _samples(sweep: Sweep, name: str) -> dict[int, list[float]]:
    """{trial: the values of its tuning seeds}; those that have no finite one are left out."""
    runs = Replicate.objects.filter(trial__sweep=sweep, role=Role.TUNE, trial__status=TrialStatus.SUCCEEDED)
    runs = runs.order_by("trial__number", "seed")
    if name.startswith(METRIC):
        return _collected(_logged(runs, name.removeprefix(METRIC)))
    if name in FACTS:
        facts = runs.values_list("trial__number", f"run__{FACTS[name].path}")
        return _collected((number, _sized(value, FACTS[name].size)) for number, value in facts)
    own = {number: [value] for number, value in _imported(sweep, int(name)) if value is not None}
    values = runs.filter(values__isnull=False).values_list("trial__number", "values")
    return own | _collected((number, told[int(name)]) for number, told in values if told)


def _logged(runs: QuerySet[Replicate], metric: str) -> Iterator[tuple[int, float | None]]:
    trials = dict(runs.values_list("run_id", "trial__number"))
    for run_id, told in summaries(trials, [metric]).items():
        yield trials[run_id], told[metric].last if metric in told else None


def _imported(sweep: Sweep, place: int) -> Iterator[tuple[int, float | None]]:
    """Trials out of another tool's study have values and no runs."""
    found = Trial.objects.filter(sweep=sweep, source=Trial.Source.IMPORTED, status=TrialStatus.SUCCEEDED)
    for number, values in found.filter(values__isnull=False).values_list("number", "values"):
        yield number, values[place] if values else None


def _collected(pairs: Iterable[tuple[int, float | None]]) -> dict[int, list[float]]:
    found: dict[int, list[float]] = defaultdict(list)
    for number, value in pairs:
        if value is not None and math.isfinite(value):
            found[number].append(float(value))
    return dict(found)


def _sized(value: Any, size: float) -> float | None:
    return value / size if isinstance(value, int | float) else None
