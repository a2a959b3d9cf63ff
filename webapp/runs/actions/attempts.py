"""What a worker reports of an attempt. Each raises Gone when the attempt is over: then nothing is written."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Now

from gpu_jobs.events import Phase
from webapp.runs import news, paths, plain, tickets
from webapp.runs.actions.losing import lose
from webapp.runs.actions.outcomes import settle
from webapp.runs.actions.transitions import announce
from webapp.runs.errors import Gone
from webapp.runs.models import Artifact, Attempt, Blob, LogLine, PhaseMark, Run
from webapp.runs.states import ACTIVE, FINAL, Status

KEPT_CHECKPOINTS = 2
LONGEST_LOG_MESSAGE = 65_536  # characters
LONGEST_NEWS_MESSAGE = 2_000
PROGRESS_EVERY_S = 0.5  # a page needs no more; points travel on their own
_told_at: dict[int, float] = {}  # monotonic seconds by run


class LogEntry(NamedTuple):
    """One line of a run's log; `at` in seconds since the epoch."""

    at: float
    level: str
    message: str


class NewArtifact(NamedTuple):
    """A stored file of a run. `folder` groups the files of a checkpoint or a model; `type` is of Artifact.Type."""

    path: str
    blob: Blob
    type: str = Artifact.Type.FILE
    folder: str = ""
    step: int | None = None


def lock(attempt_id: UUID) -> Attempt:
    """The living attempt, locked until the end of the transaction: what is written under it is written once.

    Raises Gone. A consumer skips events whose number is not above `sequence`, applies the rest, and calls `advance`.
    """
    attempt = Attempt.objects.select_for_update(of=("self",)).filter(pk=attempt_id, ended_at=None).first()
    if attempt is None:
        raise Gone(f"Attempt {attempt_id} is over.")
    return attempt


def advance(attempt: Attempt, sequence: int) -> None:
    """Notes the last event that this transaction has applied."""
    _write(attempt, sequence=sequence)


def touch(attempt: Attempt) -> None:
    """A sign of life outside the worker's heartbeat, e.g. while inputs are fetched."""
    _write(attempt, heartbeat_at=Now())


@transaction.atomic
def started(attempt: Attempt, facts: dict[str, Any], provenance: dict[str, Any], step: int, steps: int | None) -> None:
    """The training code runs, from `step` on."""
    _write(attempt, status=Status.RUNNING, last_step=step, resumed_from_step=step or None)
    running = Case(When(status=Status.STARTING, then=Value(Status.RUNNING)), default=F("status"))
    run = _write_run(
        attempt,
        status=running,
        facts=plain.json(facts),
        provenance=plain.json(provenance),
        step=step,
        steps=steps,
    )
    announce(run)


@transaction.atomic
def entered_phase(attempt: Attempt, mark: Phase) -> None:
    """A phase begins; its peak memory belongs to the phase before it."""
    _write(attempt, last_step=mark.step)
    previous = attempt.phases.last()
    if previous is not None and mark.peak_memory_bytes is not None:
        PhaseMark.objects.filter(pk=previous.pk).update(peak_memory_bytes=mark.peak_memory_bytes)
    name = plain.text(mark.name)[:60]
    PhaseMark.objects.create(attempt=attempt, name=name, step=mark.step, at=_moment(mark.time))
    announce(_write_run(attempt, phase=name))


@transaction.atomic
def progressed(attempt: Attempt, step: int) -> None:
    """Training has reached `step`. Pages are told at most twice a second."""
    _write(attempt, last_step=step)
    run = _write_run(attempt, step=step)
    if time.monotonic() - _told_at.get(run.id, float("-inf")) >= PROGRESS_EVERY_S:
        _told_at[run.id] = time.monotonic()
        announce(run)


@transaction.atomic
def logged(attempt: Attempt, lines: Iterable[LogEntry]) -> list[LogLine]:
    """Keeps log lines in order."""
    lock(attempt.pk)
    rows = LogLine.objects.bulk_create(
        LogLine(
            run_id=attempt.run_id,
            attempt=attempt,
            at=_moment(at),
            level=level[:10],
            message=plain.text(message)[:LONGEST_LOG_MESSAGE],
        )
        for at, level, message in lines
    )
    if rows:
        news.publish_on_commit(attempt.run_id, "log", {"lines": [_line_news(row) for row in rows]})
    return rows


@transaction.atomic
def add_artifacts(attempt: Attempt, entries: Sequence[NewArtifact]) -> list[Artifact]:
    """The files of a checkpoint, a model, or single ones: all at once, so that a folder is complete or absent.

    Only the latest two checkpoints of a run stay. Raises PathRefused.
    """
    lock(attempt.pk)
    rows = Artifact.objects.bulk_create(
        [_artifact(attempt, entry) for entry in entries],
        update_conflicts=True,
        unique_fields=["run", "path"],
        update_fields=["attempt", "folder", "type", "step", "blob", "created_at"],
    )
    _drop_old_checkpoints(attempt.run_id)
    news.publish_on_commit(attempt.run_id, "artifacts", {})
    return rows


@transaction.atomic
def stopped(attempt: Attempt, step: int) -> Run:
    """It stopped as asked, its checkpoint written: pausing -> paused, cancelling -> cancelled.

    A run that nobody asked to stop (its worker shuts down) goes back into the queue; that is no lost attempt.
    """
    _end(attempt, Status.PAUSED, last_step=step)
    ends = Case(
        When(status=Status.PAUSING, then=Value(Status.PAUSED)),
        When(status=Status.CANCELLING, then=Value(Status.CANCELLED)),
        default=Value(Status.QUEUED),
    )
    ended_at = Case(When(status=Status.CANCELLING, then=Now()), default=None)
    run = _write_run(attempt, status=ends, step=step, ended_at=ended_at, phase="")
    if run.status == Status.CANCELLED:
        Attempt.objects.filter(pk=attempt.pk).update(status=Status.CANCELLED)
    _after_end(run)
    return run


@transaction.atomic
def finish(
    attempt: Attempt,
    status: str,
    *,
    result: dict[str, Any] | None = None,
    error_type: str = "",
    error_message: str = "",
) -> Run:
    """The attempt ended: with a result, an error, or LOST (its process died), which is tried again while it may be.

    Raises Gone, and ValueError when `status` is not final.
    """
    if status not in FINAL:
        raise ValueError(f"An attempt ends as one of {sorted(FINAL)}, not {status!r}.")
    error = {"error_type": plain.text(error_type)[:100], "error_message": plain.text(error_message)}
    if status == Status.LOST:
        return lose(lock(attempt.pk), **error)
    _end(attempt, Status(status), **error)
    fields = {"status": status, "ended_at": Now(), **error}
    run = _write_run(attempt, **fields, **({} if result is None else {"result": plain.json(result)}))
    _after_end(run)
    return run


def _after_end(run: Run) -> None:
    _told_at.pop(run.id, None)
    announce(run)
    settle(run)
    if run.status == Status.QUEUED:
        tickets.send_on_commit(run.queue_id)


def _end(attempt: Attempt, status: Status, **fields: Any) -> None:
    _write(attempt, status=status, ended_at=Now(), heartbeat_at=Now(), **fields)


def _write(attempt: Attempt, **fields: Any) -> None:
    if not Attempt.objects.filter(pk=attempt.pk, ended_at=None).update(**fields):
        raise Gone(f"Attempt {attempt.pk} is over.")


def _write_run(attempt: Attempt, **fields: Any) -> Run:
    """Raises Gone when the run is not active (its attempt lives, so only deletion can do that)."""
    if not Run.objects.filter(pk=attempt.run_id, status__in=ACTIVE, deleted_at=None).update(**fields):
        raise Gone(f"Run {attempt.run_id} is not being worked on.")
    return Run.objects.select_related("project").get(pk=attempt.run_id)


def _artifact(attempt: Attempt, entry: NewArtifact) -> Artifact:
    folder = paths.confined(entry.folder) if entry.folder else ""
    return Artifact(
        run_id=attempt.run_id,
        attempt=attempt,
        path=paths.confined(entry.path),
        folder=folder,
        type=entry.type,
        step=entry.step,
        blob=entry.blob,
    )


def _drop_old_checkpoints(run_id: int) -> None:
    checkpoints = Artifact.objects.filter(run_id=run_id, type=Artifact.Type.CHECKPOINT)
    steps = checkpoints.order_by("-step").values_list("step", flat=True).distinct()
    kept = list(steps[:KEPT_CHECKPOINTS])
    checkpoints.exclude(step__in=kept).delete()


def _line_news(row: LogLine) -> dict[str, Any]:
    at, message = row.at.timestamp(), row.message[:LONGEST_NEWS_MESSAGE]
    return {"id": row.pk, "at": at, "level": row.level, "message": message, "attempt": str(row.attempt_id)}


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
