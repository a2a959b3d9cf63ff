"""Writes of metrics that people ask for. What a training run logs comes through the store itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction

from webapp.metrics import external, keys, store
from webapp.metrics.announcing import announce
from webapp.metrics.errors import Invalid
from webapp.metrics.external import Columns
from webapp.metrics.points import Points
from webapp.runs.actions.outside import EXTERNAL
from webapp.runs.actions.transitions import announce as announce_run
from webapp.runs.models import Run

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
    count = log_columns(run, read())
    keys.settle(run.pk, key, count)
    return count


def _require_external(run: Run) -> None:
    if run.kind != EXTERNAL:
        message = f"Run {run.pk} is a {run.kind} run: only runs of kind {EXTERNAL} take points from outside."
        raise Invalid([{"loc": ["series"], "msg": message}])


def _move_on(run: Run, points: Mapping[str, Points]) -> None:
    """The run's step is the highest that it has logged."""
    step = max((int(some.steps.max()) for some in points.values()), default=0)
    if Run.objects.filter(pk=run.pk, step__lt=step).update(step=step):
        run.step = step
        announce_run(run)
