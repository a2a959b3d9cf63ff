"""A batch of entries as rows: what a run's events mean in Postgres. Belongs to the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gpu_jobs.events import Event, Failed, Histograms, Log, Metrics, Phase, Result, Started, Stopped
from webapp.metrics import store
from webapp.metrics.announcing import announce
from webapp.metrics.errors import Invalid
from webapp.metrics.media import actions as media
from webapp.metrics.media import items
from webapp.metrics.media.items import NewItem
from webapp.metrics.points import Points
from webapp.runs import actions
from webapp.runs.actions import LogEntry, NewArtifact
from webapp.runs.models import Attempt, Blob
from webapp.runs.states import Status
from workers.entries import Lost, Stored

MOST_POINTS_IN_NEWS = 20_000  # beyond that a page does better to read the series again


class Columns(NamedTuple):
    steps: list[int]
    values: list[float]
    times: list[float]


def write(attempt: Attempt, batch: Sequence[Event]) -> None:
    """Everything but the final entry. Raises Gone."""
    for event in batch:
        if isinstance(event, Started):
            actions.started(attempt, event.facts, event.provenance, event.step, event.steps)
        elif isinstance(event, Phase):
            actions.entered_phase(attempt, event)
        elif isinstance(event, Stored):
            actions.add_artifacts(attempt, _artifacts(event))
    _write_points(attempt, [event for event in batch if isinstance(event, Metrics)])
    left_out = _write_histograms(attempt, [event for event in batch if isinstance(event, Histograms)])
    actions.logged(attempt, [*(line for event in batch for line in _log(event)), *left_out])


def end(attempt: Attempt, final: Event) -> None:
    """The attempt's last entry. Raises Gone."""
    match final:
        case Result():
            actions.finish(attempt, Status.SUCCEEDED, result=final.values)
        case Stopped():
            actions.stopped(attempt, final.step)
        case Failed():
            actions.finish(attempt, final.outcome, error_type=final.error, error_message=final.message)
        case Lost():
            actions.finish(attempt, Status.LOST, error_type="LostError", error_message=final.message)


def _log(event: Event) -> list[LogEntry]:
    if isinstance(event, Log):
        return [LogEntry(event.time, event.level, event.message)]
    if isinstance(event, Failed) and event.traceback:
        return [LogEntry(event.time, "error", event.traceback)]
    return []


def _artifacts(event: Stored) -> list[NewArtifact]:
    blobs = Blob.objects.in_bulk([sha256 for _, sha256 in event.files])
    return [NewArtifact(path, blobs[sha256], event.kind, event.folder, event.step) for path, sha256 in event.files]


def _write_points(attempt: Attempt, batch: Sequence[Metrics]) -> None:
    if not batch:
        return
    columns: dict[str, Columns] = defaultdict(lambda: Columns([], [], []))
    for event in batch:
        for name, value in event.values.items():
            columns[name].steps.append(event.step)
            columns[name].values.append(value)
            columns[name].times.append(event.time)
    series = {name: Points.of(*column) for name, column in columns.items()}
    store.append(attempt.run_id, series)
    actions.progressed(attempt, max(event.step for event in batch))
    announce(attempt.run_id, series, MOST_POINTS_IN_NEWS)


def _write_histograms(attempt: Attempt, batch: Sequence[Histograms]) -> list[LogEntry]:
    """What is to be said in the log: a run that has too many of them goes on without."""
    if not batch:
        return []
    try:
        media.add(attempt.run_id, [item for event in batch for item in _items(event)])
    except Invalid as error:
        steps = ", ".join(str(event.step) for event in batch)
        return [LogEntry(batch[-1].time, "warning", f"The histograms of step {steps} are left out: {error}")]
    return []


def _items(event: Histograms) -> list[NewItem]:
    """Raises Invalid."""
    return [
        items.histogram(
            name, np.linspace(bins["low"], bins["high"], len(bins["counts"]) + 1).tolist(), bins["counts"],
            step=event.step, time=event.time,
        )
        for name, bins in event.values.items()
    ]  # fmt: skip
