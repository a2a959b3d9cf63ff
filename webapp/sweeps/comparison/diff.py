"""Runs side by side: where their configurations differ, and what each measured against one of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from webapp.metrics.models import Series
from webapp.metrics.queries import summaries
from webapp.metrics.summary import Summary
from webapp.runs.language import part_text
from webapp.runs.models import Run
from webapp.sweeps.comparison.choosing import SILENT
from webapp.sweeps.comparison.question import Goal, goal_of

MOST_RUNS = 50
Aggregate = Literal["last", "min", "max", "mean"]
AGGREGATES: tuple[Aggregate, ...] = ("last", "min", "max", "mean")
FIELDS = {"last": "last", "min": "minimum", "max": "maximum", "mean": "mean"}
FIRST = ("eval", "test", "train")  # metrics below these come first, what the machine says last


class Missing:
    """The value of a path that a configuration does not have; null is a value."""

    def __repr__(self) -> str:
        return "missing"


MISSING = Missing()


class Setting(NamedTuple):
    """A dotted path of the specs, with the value of each run; lists are values as a whole."""

    path: str
    values: tuple[Any, ...]
    is_same: bool

    def differs(self, place: int, baseline: int) -> bool:
        return bool(canonical(self.values[place]) != canonical(self.values[baseline]))


class Measured(NamedTuple):
    """An aggregate of a metric. `best` are the places of the best finite values, where they are not all alike."""

    metric: str
    aggregate: Aggregate
    goal: Goal | None
    values: tuple[float | None, ...]
    best: frozenset[int]

    def difference(self, place: int, baseline: int) -> float | None:
        value, base = self.values[place], self.values[baseline]
        return None if value is None or base is None or place == baseline else value - base

    def relative(self, place: int, baseline: int) -> float | None:
        """The difference over the size of the baseline's value."""
        difference, base = self.difference(place, baseline), self.values[baseline]
        return difference / abs(base) if difference is not None and base else None


class Diff(NamedTuple):
    """`baseline` is the place of the run that the others are held against. `found`: metrics that any run has."""

    runs: list[Run]
    baseline: int
    settings: list[Setting]
    metrics: list[Measured]
    found: int

    @property
    def differing(self) -> list[Setting]:
        return [setting for setting in self.settings if not setting.is_same]

    @property
    def same(self) -> list[Setting]:
        return [setting for setting in self.settings if setting.is_same]


def diff(
    runs: Sequence[Run],
    baseline: int | None = None,
    *,
    names: Sequence[str] = (),
    aggregates: Sequence[Aggregate] = AGGREGATES,
    limit: int = 100,
) -> Diff:
    """Of at most MOST_RUNS runs. `baseline`: a run's number, the first when None or not among them.

    `names`: which metrics; else the first `limit` that any has. Two statements.
    """
    shown = list(runs[:MOST_RUNS])
    places = {run.pk: place for place, run in enumerate(shown)}
    known = names_of(shown)
    told = [name for name in names if name in set(known)] if names else known
    found = summaries(places, told[:limit])
    metrics = [
        _measured(name, aggregate, [found[run.pk].get(name) for run in shown])
        for name in told[:limit]
        for aggregate in aggregates
    ]
    return Diff(shown, places.get(baseline or 0, 0), settings_of([run.spec for run in shown]), metrics, len(told))


def side_by_side(runs: Sequence[Run], named: Sequence[int] = ()) -> list[Run]:
    """In the order in which they are named, else the newest of them, the oldest first."""
    places = {number: place for place, number in enumerate(named)}
    if places:
        return sorted(runs, key=lambda run: places.get(run.pk, len(places)))[:MOST_RUNS]
    return sorted(runs, key=lambda run: run.pk)[-MOST_RUNS:]


def names_of(runs: Sequence[Run]) -> list[str]:
    """The metrics that any of them has, quality first."""
    series = Series.objects.filter(run__in=[run.pk for run in runs], count__gt=0)
    return sorted(series.order_by().values_list("name", flat=True).distinct(), key=_place)


def _place(name: str) -> tuple[int, str]:
    head = name.partition("/")[0]
    if name.startswith(SILENT):
        return len(FIRST) + 1, name
    return FIRST.index(head) if head in FIRST else len(FIRST), name


def settings_of(specs: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """By path."""
    flats = [dict(flat(spec)) for spec in specs]
    paths = sorted({path for each in flats for path in each})
    rows = [(path, tuple(each.get(path, MISSING) for each in flats)) for path in paths]
    return [Setting(path, values, len({canonical(value) for value in values}) == 1) for path, values in rows]


def flat(block: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Paths as the query language has them: a key that is more than a plain word stands in quotes."""
    for key, value in block.items():
        path = f"{at}{part_text(str(key))}"
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{path}.")
        else:
            yield path, value


def canonical(value: Any) -> Any:
    """Equal where two JSON values are: 1 is 1.0, but neither true nor "1"."""
    if isinstance(value, bool) or value is None or isinstance(value, Missing):
        return repr(value)
    if isinstance(value, int | float):
        return ("number", value)
    if isinstance(value, Mapping):
        return ("object", tuple(sorted((str(key), canonical(inner)) for key, inner in value.items())))
    return ("list", tuple(map(canonical, value))) if isinstance(value, list) else ("text", str(value))


def _measured(name: str, aggregate: Aggregate, told: Sequence[Summary | None]) -> Measured:
    values = tuple(None if one is None else getattr(one, FIELDS[aggregate]) for one in told)
    goal = None if name.startswith(SILENT) else goal_of(name)
    return Measured(name, aggregate, goal, values, best_of(values, goal))


def best_of(values: Sequence[float | None], goal: Goal | None) -> frozenset[int]:
    finite = {place: value for place, value in enumerate(values) if value is not None and math.isfinite(value)}
    if goal is None or len(set(finite.values())) < 2:
        return frozenset()
    best = min(finite.values()) if goal == "minimize" else max(finite.values())
    return frozenset(place for place, value in finite.items() if value == best)
