"""Writes of metrics that people ask for. What a training run logs comes through the store itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connection, transaction

from webapp.metrics import external, keys, store
from webapp.metrics.announcing import announce
from webapp.metrics.errors import Invalid
from webapp.metrics.external import Columns
from webapp.metrics.keys import Claim
from webapp.metrics.points import Points
from webapp.runs.actions.outside import EXTERNAL
from webapp.runs.actions.transitions import announce as announce_run
from webapp.runs.models import Run

STEP_EVERY_S = 1.0
MOST_TOLD = 10_000

__all__ = ["Batch", "announce", "log_columns", "log_external", "log_once", "write"]


class Batch(NamedTuple):
    """The points that one request brings for a run. `key` is its Idempotency-Key, `digest` that of its body."""

    run: Run
    columns: Mapping[str, Columns]
    key: str | None = None
    digest: bytes = b""

    @property
    def points(self) -> int:
        return sum(len(columns.values) for columns in self.columns.values())


def log_external(run: Run, series: Mapping[str, Any]) -> int:
    """Adds points to a run that trains elsewhere: `{name: {"value": [...], "step": [...]?, "time": [...]?}}`.

    Returns the number of points. Raises Invalid, naming the series, and then nothing is written.
    """
    _require_external(run)
    return log_columns(run, external.parse(series))


def log_columns(run: Run, columns: Mapping[str, Columns]) -> int:
    """Adds points to an external run. Returns their number. Raises Invalid.

    Steps left out go on from the series' last one, times left out are now; at a step that is there already, the new
    value counts.
    """
    _require_external(run)
    return write([Batch(run, columns)])[0]


def log_once(run: Run, key: str | None, digest: bytes, read: Callable[[], Mapping[str, Columns]]) -> int:
    """Like log_columns with what `read` gives, but once for each key: again is no error, and says the same number.

    Raises Invalid, also for a key that stood for another digest, and what `read` raises, unless the key has stored
    something before.
    """
    if key is not None:
        keys.check(key)
    try:
        columns = read()
        _require_external(run)
    except Exception:
        if key is not None and (stored := keys.known(run.pk, key, digest)) is not None:
            return stored
        raise
    return write([Batch(run, columns, key, digest)])[0]


@transaction.atomic
def write(batches: Sequence[Batch]) -> list[int]:
    """Stores batches of different runs, all of them or none; gives how many points each has stored, now or before."""
    known = keys.claim_all(
        [Claim(batch.run.pk, batch.key, batch.digest, batch.points) for batch in batches if batch.key is not None]
    )
    fresh = {batch.run.pk: batch for batch in batches if batch.run.pk not in known}
    rows, now = store.lock_all({run_id: batch.columns for run_id, batch in fresh.items()}), time.time()
    points = {run_id: _placed(batch.columns, rows[run_id], now) for run_id, batch in fresh.items()}
    store.append_all(points, rows)
    for run_id, series in points.items():
        announce(run_id, series)
    _move_on(points, fresh)
    return [known.get(batch.run.pk, batch.points) for batch in batches]


def _placed(columns: Mapping[str, Columns], rows: Mapping[str, store.SeriesRow], now: float) -> dict[str, Points]:
    placed = {name: given.points(rows[name].next_step, now) for name, given in columns.items()}
    return {name: points for name, points in placed.items() if len(points.steps)}


def _require_external(run: Run) -> None:
    if run.kind != EXTERNAL:
        message = f"Run {run.pk} is a {run.kind} run: only runs of kind {EXTERNAL} take points from outside."
        raise Invalid([{"loc": ["series"], "msg": message}])


def _move_on(points: Mapping[int, Mapping[str, Points]], batches: Mapping[int, Batch]) -> None:
    """The step of a run is the highest that it has logged. It is told at most once a second: the points tell it too."""
    steps = {
        run_id: max((int(some.steps.max()) for some in series.values()), default=0) for run_id, series in points.items()
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, [list(steps), list(steps.values())])
        moved = [run_id for (run_id,) in cursor]
    for run_id in moved:
        run = batches[run_id].run
        run.step = steps[run_id]
        if _is_time_to_tell(run_id):
            announce_run(run)


_MOVE = """
    UPDATE runs SET step = reached.step
    FROM (SELECT id, reached.step FROM unnest(%s::bigint[], %s::bigint[]) AS reached (id, step)
          JOIN runs USING (id) WHERE runs.step < reached.step ORDER BY id FOR NO KEY UPDATE OF runs) AS reached
    WHERE runs.id = reached.id AND runs.step < reached.step RETURNING runs.id"""


def _is_time_to_tell(run_id: int) -> bool:
    now = time.monotonic()
    if now - _told_at.get(run_id, float("-inf")) < STEP_EVERY_S:
        return False
    if len(_told_at) >= MOST_TOLD:
        _told_at.clear()
    _told_at[run_id] = now
    return True


_told_at: dict[int, float] = {}  # by run, of this process
