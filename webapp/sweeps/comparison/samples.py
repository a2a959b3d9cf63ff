"""What the runs of a group say together: quality by seed, and the means of what they took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from webapp.runs.states import Status
from webapp.sweeps.comparison.differences import Sample
from webapp.sweeps.comparison.grouping import Group
from webapp.sweeps.comparison.measured import BUDGETS, MEASURES, Measure
from webapp.sweeps.comparison.question import Question
from webapp.sweeps.comparison.results import Amount
from webapp.sweeps.measures import reading
from webapp.sweeps.rows import Row
from webapp.sweeps.statistics import interval


class Seen(NamedTuple):
    """A group with what its runs say; only those that succeeded say anything."""

    group: Group
    sample: Sample
    quality: Amount | None
    measures: dict[str, Amount | None]
    budget: float | None


def sample(group: Group, metric: str) -> dict[int, float]:
    """Quality by seed (runs of one seed are one sample: their mean), or by run where they differ in more."""
    found: dict[int, list[float]] = {}
    for row in group.rows:
        value = reading.score(row, metric)
        if value is not None:
            found.setdefault(_unit(group, row), []).append(value)
    return {unit: sum(values) / len(values) for unit, values in sorted(found.items())}


def _unit(group: Group, row: Row) -> int:
    return row.seed if group.is_configuration else row.run


def seen(group: Group, asked: Question) -> Seen:
    found = sample(group, asked.metric)
    measures = {name: _amount(group, measure) for name, measure in MEASURES.items()}
    budget = _amount(group, BUDGETS[asked.budget])
    quality = _told(list(found.values()), asked.confidence)
    return Seen(group, found, quality, measures, budget.mean if budget else None)


def _amount(group: Group, measure: Measure) -> Amount | None:
    """Of the runs that succeeded: what a broken run took says nothing about a whole one."""
    ended = [row for row in group.rows if row.status == Status.SUCCEEDED]
    return _told([value for row in ended if (value := measure.read(row)) is not None])


def _told(values: Sequence[float], confidence: float = 0.95) -> Amount | None:
    return Amount(**interval(values, confidence)._asdict()) if values else None
