"""Writes of metrics that people ask for. What a training run logs comes through the store itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from webapp.metrics import external, store
from webapp.metrics.announcing import announce
from webapp.metrics.errors import Invalid
from webapp.metrics.points import Points
from webapp.runs.actions.submission import EXTERNAL
from webapp.runs.actions.transitions import announce as announce_run
from webapp.runs.models import Run

__all__ = ["announce", "log_external"]


@transaction.atomic
def log_external(run: Run, series: Mapping[str, Any]) -> int:
    """Adds points to a run that trains elsewhere: `{name: {"value": [...], "step": [...]?, "time": [...]?}}`.

    Steps left out go on from the series' last one, times left out are now; at a step that is there already, the new
    value counts. Returns the number of points. Raises Invalid, naming the series, and then nothing is written.
    """
    if run.kind != EXTERNAL:
        message = f"Run {run.pk} is a {run.kind} run: only runs of kind {EXTERNAL} take points from outside."
        raise Invalid([{"loc": ["series"], "msg": message}])
    columns = external.parse(series)
    rows, now = store.lock(run.pk, columns), time.time()
    points = {name: given.points(rows[name].next_step, now) for name, given in columns.items()}
    points = {name: some for name, some in points.items() if len(some.steps)}
    store.append(run.pk, points)
    announce(run.pk, points)
    _move_on(run, points)
    return sum(len(some.steps) for some in points.values())


def _move_on(run: Run, points: Mapping[str, Points]) -> None:
    """The run's step is the highest that it has logged."""
    step = max((int(some.steps.max()) for some in points.values()), default=0)
    if Run.objects.filter(pk=run.pk, step__lt=step).update(step=step):
        run.step = step
        announce_run(run)
