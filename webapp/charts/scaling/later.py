"""What earlier revisions of a fit foresaw of points that were measured afterwards.

Not a chart of one reading: `data(readings, measured)` takes the reading of each earlier revision, and what
webapp.scaling.queries.measured_later tells: (revision, run, at, measured).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from webapp.charts.scaling import agreement, drawing
from webapp.charts.scaling.agreement import Agreement, Group
from webapp.charts.scaling.held import Held, words
from webapp.charts.theme import Json
from webapp.scaling.reading import Reading

TITLE = "Predicted, then measured"
QUESTION = "Did earlier fits foresee what was measured since?"
IS_WIDE = False
Revision = TypeVar("Revision", bound=Hashable)
Measured = tuple[Any, int, Mapping[str, float], float]


def data(readings: Mapping[Revision, Reading], measured: Iterable[Measured]) -> Agreement:
    """`readings` by revision, told by its `number` where it has one; revisions without a reading are left out."""
    known = [each for each in measured if each[0] in readings]
    revisions = list(dict.fromkeys(each[0] for each in known))
    revisions.sort(key=lambda revision: getattr(revision, "number", 0))
    groups = [
        Group(f"revision {getattr(one, 'number', one)}", _held(readings[one], [e for e in known if e[0] == one]))
        for one in revisions
    ]
    target = drawing.target_of(readings[revisions[-1]]) if revisions else "loss"
    together = [group.held for group in groups]
    inside = sum(int(((held.low <= held.measured) & (held.measured <= held.high)).sum()) for held in together)
    words = [f"{inside} of {len(known)} inside the interval that the last fit before them had stated"] if known else []
    return Agreement(target, groups, words)


def _held(reading: Reading, measured: list[Measured]) -> Held:
    at = {name: np.array([place[name] for _, _, place, _ in measured]) for name in reading.law.variables}
    values = np.array([value for *_, value in measured], np.float64)
    found = reading.foreseen(at)
    told = []
    for index, (_, run, place, value) in enumerate(measured):
        point = {
            "at": {name: place[name] for name in reading.law.variables}, "measured": value,
            "predicted": found.value[index], "interval": (found.interval_low[index], found.interval_high[index]),
            "relative_error": found.value[index] / value - 1,
        }  # fmt: skip
        told.append([run, f"{drawing.named(run, 0)}: {words(point)}"])
    return Held(np.zeros(len(values)), values, found.value, found.interval_low, found.interval_high, told)


def figure(data: Agreement) -> Json:
    return agreement.figure(data, "Nothing has been measured since the first revision of this fit.")
