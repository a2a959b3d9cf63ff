"""Reads numbers out of rows: a path of the spec, a run's score, what it counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from webapp.runs.states import Status
from webapp.sweeps.states import Role

if TYPE_CHECKING:
    from webapp.metrics.points import Points
    from webapp.sweeps.rows import Row

Series = Callable[[int, str], "Points"]  # of a run; no points where it has no such series
Labels = Mapping[int, Mapping[str, Any]]  # of a sweep: which part of the study it is
Key = TypeVar("Key", bound=Hashable)


def ordered(rows: Iterable[Row]) -> list[Row]:
    """One order whatever the order given: sums of floats then agree to the last bit."""
    return sorted(rows, key=lambda row: (row.sweep, row.trial, row.role, row.seed, row.run))


def tuning(rows: Iterable[Row]) -> list[Row]:
    return [row for row in ordered(rows) if row.role == Role.TUNE]


def at(source: Mapping[str, Any], path: str) -> Any:
    """The value at "optimizer.lr"; None where there is none."""
    value: Any = source
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def setting(row: Row, path: str) -> Any:
    """What the trial chose, else what its spec says."""
    return row.params[path] if path in row.params else at(row.spec, path)


def score(row: Row, metric: str) -> float | None:
    """The last finite value of a run that ended well; of a test run on the test split, where it has one."""
    if row.status != Status.SUCCEEDED:
        return None
    names = [metric.replace("eval/", "test/", 1), metric] if row.role == Role.TEST else [metric]
    last = next((row.metrics[name].last for name in names if name in row.metrics), None)
    return last if last is not None and math.isfinite(last) else None


def first(row: Row, metric: str) -> float | None:
    """The first value of a series, whatever became of the run."""
    value = row.metrics[metric].first if metric in row.metrics else None
    return value if value is not None and math.isfinite(value) else None


def parameters(row: Row, which: str) -> int | None:
    """ "total" or "trainable", counted exactly by the run itself, else by its plan."""
    for source in (row.facts.get("parameters"), at(row.facts, "plan.parameters")):
        if isinstance(source, Mapping) and source.get(which) is not None:
            return int(source[which])
    return None


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """By key, in the order of the rows."""
    found: dict[Key, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def scores(rows: Iterable[Row], metric: str) -> list[float]:
    return [value for row in rows if (value := score(row, metric)) is not None]


def label(labels: Labels, row: Row, name: str, default: str = "") -> str:
    """What the plan called this part of the study."""
    value = labels.get(row.sweep, {}).get(name)
    return default if value is None else str(value)


def mean(values: Iterable[float]) -> float | None:
    found = sorted(values)
    return math.fsum(found) / len(found) if found else None


def deviation(values: Iterable[float]) -> float | None:
    """The standard deviation of the population from a sample; None of fewer than two."""
    found = sorted(values)
    if len(found) < 2:
        return None
    centre = math.fsum(found) / len(found)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in found) / (len(found) - 1))
