"""The trials of a sweep in columns, as most of its charts want them: one query, no run is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.db.models import JSONField, Value
from numpy.typing import NDArray

from webapp.metrics.points import Float64, Int64
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.states import BAD, TrialStatus


class TrialRow(NamedTuple):
    """`values` as measured, one per objective."""

    number: int
    params: dict[str, Any]
    status: str
    values: Sequence[float | None] | None
    ended_at: datetime | None = None


class Trials(NamedTuple):
    """n trials by number. `values` (n, objectives) as measured and `ended` (n,) in seconds since the epoch are NaN
    where there is none yet."""

    numbers: Int64
    params: list[dict[str, Any]]
    statuses: NDArray[np.str_]
    values: Float64
    ended: Float64

    @property
    def has_succeeded(self) -> NDArray[np.bool_]:
        """With all its values: only these are ranked."""
        done = (self.statuses == TrialStatus.SUCCEEDED) & np.isfinite(self.values).all(axis=1)
        return np.asarray(done, bool)

    @property
    def is_bad(self) -> NDArray[np.bool_]:
        return np.isin(self.statuses, sorted(BAD))

    def take(self, chosen: NDArray[Any]) -> Trials:
        """Those at these places, or where the mask holds."""
        places = np.arange(len(self.numbers))[chosen]
        params = [self.params[place] for place in places]
        return Trials(self.numbers[places], params, self.statuses[places], self.values[places], self.ended[places])


def read(sweep: Sweep, *, params: bool = True) -> Trials:
    """Without `params`, which take half the time, each trial's are empty."""
    found = Trial.objects.filter(sweep=sweep).order_by("number")
    fields = found.values_list(
        "number", "params" if params else Value(None, JSONField()), "status", "values", "ended_at"
    )
    rows = (TrialRow(number, told or {}, status, values, ended_at) for number, told, status, values, ended_at in fields)
    return columns(rows, len(sweep.definition["objective"]))


def columns(rows: Iterable[TrialRow], objectives: int = 1) -> Trials:
    rows = list(rows)
    values = [row.values if row.values and len(row.values) == objectives else [None] * objectives for row in rows]
    return Trials(
        numbers=np.array([row.number for row in rows], np.int64),
        params=[row.params for row in rows],
        statuses=np.array([row.status for row in rows], np.str_),
        values=np.array(values, np.float64).reshape(len(rows), objectives),
        ended=np.array([row.ended_at.timestamp() if row.ended_at else np.nan for row in rows], np.float64),
    )


def thinned(count: int, most: int, kept: Iterable[int] = ()) -> Int64:
    """Places of at most about `most` of `count`, evenly spread, and always those in `kept`."""
    if count <= most:
        return np.arange(count)
    spread = np.linspace(0, count - 1, most).round().astype(np.int64)
    return np.union1d(spread, np.asarray(list(kept), np.int64))
