"""The horizontals that give a chart its scale: training everything, and training nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from webapp.sweeps.comparison.grouping import Group
from webapp.sweeps.comparison.results import Level, Line
from webapp.sweeps.measures import reading
from webapp.sweeps.rows import Row

FULL = "full"
FULL_LABEL, BASE_LABEL = "full fine-tuning", "base"
# What decides the evaluated samples, and what is measured on them.
JUDGED_BY = ("data", "task", "eval_batches", "sequence_length", "batch_size", "packing", "objective")


def full(lines: Sequence[Line], sign: float) -> Level:
    """The best group that trains all weights."""
    found = [line for line in lines if line.method == FULL and line.quality]
    if not found:
        return Level(label=FULL_LABEL, value=None, how="No run that trains all weights has a value here.")
    best = min(found, key=lambda line: sign * line.quality.mean if line.quality else math.inf)
    return Level(label=FULL_LABEL, value=best.quality.mean if best.quality else None, how=f"The mean of {best.label}.")


def base(groups: Sequence[Group], bases: Mapping[int, Row], metric: str) -> Level:
    """The model before training: as the runs measured it themselves, else as the base run ended on the same data."""
    rows = [row for group in groups for row in group.rows]
    before = reading.mean(value for row in rows if (value := _before(row, metric)) is not None)
    if before is not None:
        return Level(label=BASE_LABEL, value=before, how="Measured by the runs before their first step.")
    runs = {reading.at(row.spec, "model.run") for row in rows}
    if runs <= {None}:
        return Level(label=BASE_LABEL, value=None, how="The runs start from no run's model, so no base is known.")
    if len(runs) > 1:
        return Level(label=BASE_LABEL, value=None, how="The runs start from different models: there is no one base.")
    return _ended(runs.pop(), bases, rows, metric)


def _ended(number: Any, bases: Mapping[int, Row], rows: Sequence[Row], metric: str) -> Level:
    found = bases.get(number)
    if found is None:
        return Level(label=BASE_LABEL, value=None, how=f"Base run {number} is gone, or not yours to see.")
    if any(_judged(found) != _judged(row) for row in rows):
        how = f"Base run {number} was judged on other samples, and no run has measured it before training."
        return Level(label=BASE_LABEL, value=None, how=how)
    value = reading.score(found, metric)
    how = f"How base run {number} ended on the same data." if value is not None else f"Run {number} has no {metric}."
    return Level(label=BASE_LABEL, value=value, how=how)


def _before(row: Row, metric: str) -> float | None:
    for path in ("before", "baseline", "quality.dense"):
        told = reading.at(row.result or {}, path)
        value = told.get(metric) if isinstance(told, Mapping) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return None


def _judged(row: Row) -> list[Any]:
    """What decides which samples a run is judged on; `task` as the run resolved it."""
    task = row.facts.get("task") or row.spec.get("task")
    return [task if name == "task" else row.spec.get(name) for name in JUDGED_BY]
