"""Writes of metrics that people ask for. What a training run logs comes through the store itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from django.db import connection, transaction

from webapp.metrics import external, keys, store
from webapp.metrics.announcing import announce
from webapp.metrics.errors import Invalid
from webapp.metrics.external import Columns
from webapp.metrics.points import Points
from webapp.runs.actions.outside import EXTERNAL
from webapp.runs.actions.transitions import announce as announce_run
from webapp.runs.models import Run

STEP_EVERY_S = 1.0
MOST_TOLD = 10_000

__all__ = ["announce", "log_columns", "log_external", "log_once"]


def log_external(run: Run, series: Mapping[str, Any]) -> int:
    """Adds points to a run that trains elsewhere: `{name: {"value": [...], "step": [...]?, "time": [...]?}}`.

    Returns the number of points. Raises Invalid, naming the series, and then nothing is written.
    """
    _require_external(run)
    return log_columns(run, external.parse(series))


@transaction.atomic
def log_columns(run: Run, columns: Mapping[str, Columns]) -> int:
    """Adds points to an external run. Returns their number. Raises Invalid.

    Steps left out go on from the series' last one, times left out are now; at a step that is there already, the new
    value counts.
    """
    return _add(run, columns)


def _add(run: Run, columns: Mapping[str, Columns]) -> int:
    _require_external(run)
    rows, now = store.lock(run.pk, columns), time.time()
    points = {name: given.points(rows[name].next_step, now) for name, given in columns.items()}
    points = {name: some for name, some in points.items() if len(some.steps)}
    store.append(run.pk, points, rows)
    announce(run.pk, points)
    _move_on(run, points)
    return sum(len(some.steps) for some in points.values())


@transaction.atomic
def log_once(run: Run, key: str, digest: bytes, read: Callable[[], Mapping[str, Columns]]) -> int:
    """Like log_columns with what `read` gives, but once for each key: again is no error, and says the same number.

    `read` is not called again for a key that is known. Raises Invalid, also for a key that stood for another digest.
    """
    stored = keys.claim(run.pk, key, digest)
    if stored is not None:
        return stored
    count = _add(run, read())
    keys.settle(run.pk, key, count)
    return count


def _require_external(run: Run) -> None:
    if run.kind != EXTERNAL:
        message = f"Run {run.pk} is a {run.kind} run: only runs of kind {EXTERNAL} take points from outside."
        raise Invalid([{"loc": ["series"], "msg": message}])


def _move_on(run: Run, points: Mapping[str, Points]) -> None:
    """The run's step is the highest that it has logged. It is told at most once a second: the points tell it too."""
    step = max((int(some.steps.max()) for some in points.values()), default=0)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE runs SET step = %s WHERE id = %s AND step < %s", [step, run.pk, step])
        if not cursor.rowcount:
            return
    run.step = step
    if _is_time_to_tell(run.pk):
        announce_run(run)


def _is_time_to_tell(run_id: int) -> bool:
    now = time.monotonic()
    if now - _told_at.get(run_id, float("-inf")) < STEP_EVERY_S:
        return False
    if len(_told_at) >= MOST_TOLD:
        _told_at.clear()
    _told_at[run_id] = now
    return True


_told_at: dict[int, float] = {}  # by run, of this process
