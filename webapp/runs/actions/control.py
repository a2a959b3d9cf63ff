"""What people do to a run: cancel, pause, resume, requeue, delete, edit."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now

from webapp.accounts.errors import FieldError, Invalid
from webapp.runs import fields, tickets
from webapp.runs.actions.outcomes import settle
from webapp.runs.actions.transitions import announce, change, require
from webapp.runs.models import Attempt, Run
from webapp.runs.states import ACTIVE, PAUSABLE, REQUEUEABLE, STOPPABLE, Status

AT_REST = Q(status__in=(Status.QUEUED, Status.PAUSED)) | Q(kind="external")  # no process to be asked
FRESH: dict[str, Any] = {
    "queued_at": Now(), "ended_at": None, "losses": 0, "rank": None, "reserved_for": None,
    "error_type": "", "error_message": "",
}  # fmt: skip


@transaction.atomic
def cancel(run: Run) -> Run:
    """A waiting run is cancelled at once; an active one is asked to write a checkpoint and stop. Raises WrongState."""
    status = Case(When(AT_REST, then=Value(Status.CANCELLED)), default=Value(Status.CANCELLING))
    ended_at = Case(When(AT_REST, then=Now()), default=F("ended_at"))
    require(change(run, STOPPABLE, status=status, ended_at=ended_at), run, "cancelled")
    settle(run)
    return run


@transaction.atomic
def pause(run: Run) -> Run:
    """A waiting run is paused at once; an active one is asked to write a checkpoint and stop. Raises WrongState."""
    require(run.kind != "external", run, "paused")
    status = Case(When(status=Status.QUEUED, then=Value(Status.PAUSED)), default=Value(Status.PAUSING))
    require(change(run, PAUSABLE, status=status), run, "paused")
    return run


@transaction.atomic
def resume(run: Run) -> Run:
    """A paused run waits again and goes on from its checkpoint. Raises WrongState."""
    require(change(run, {Status.PAUSED}, status=Status.QUEUED, **FRESH), run, "resumed")
    tickets.send_on_commit(run.queue_id)
    return run


@transaction.atomic
def requeue(run: Run) -> Run:
    """A run that ended without success waits again, with all its attempts, and goes on from its last checkpoint.

    Raises WrongState.
    """
    require(run.kind != "external", run, "requeued")
    require(change(run, REQUEUEABLE, status=Status.QUEUED, result=None, **FRESH), run, "requeued")
    tickets.send_on_commit(run.queue_id)
    return run


@transaction.atomic
def delete(run: Run) -> None:
    """Hides the run at once and stops what works on it (its attempt is told `gone`); bytes go with the garbage.

    Deleting a deleted run changes nothing.
    """
    status = Case(When(status__in=(ACTIVE | STOPPABLE), then=Value(Status.CANCELLED)), default=F("status"))
    deleted = Run.objects.filter(pk=run.pk, deleted_at=None).update(
        status=status, deleted_at=Now(), ended_at=Case(When(ended_at=None, then=Now()), default=F("ended_at"))
    )
    run.refresh_from_db()
    if deleted:
        transaction.on_commit(partial(_end_attempts, run.pk))
        settle(run)
        announce(run)


def _end_attempts(run_id: int) -> None:
    """After the commit: a worker's report locks the attempt, then the run; the other order would deadlock with it."""
    Attempt.objects.filter(run_id=run_id, ended_at=None).update(status=Status.CANCELLED, ended_at=Now())


@transaction.atomic
def update(
    run: Run,
    *,
    name: str | None = None,
    tags: Iterable[str] | None = None,
    priority: int | None = None,
    queue: str | None = None,
    baseline: Run | int | fields.Unset | None = fields.UNSET,
) -> Run:
    """Changes what people call a run and where it waits; None leaves a field, but `baseline=None` clears it.

    A run that moves to another queue or priority loses the place that it was given by hand. Raises Invalid.
    """
    errors: list[FieldError] = []
    changes = fields.checked(errors, name=name, tags=tags, priority=priority, queue=queue)
    if not isinstance(baseline, fields.Unset):
        changes["baseline"] = fields.baseline(errors, baseline, run.project, run)
    if errors:
        raise Invalid(errors)
    if changes.keys() & {"priority", "queue"}:
        changes |= {"rank": None, "reserved_for": None}
    Run.objects.filter(pk=run.pk).update(**changes)
    run.refresh_from_db()
    announce(run)
    if "queue" in changes and run.status == Status.QUEUED:
        tickets.send_on_commit(run.queue_id)
    return run


@transaction.atomic
def tag(run: Run, name: str) -> Run:
    """Adds a tag to those that the run has by now. Raises Invalid."""
    tags = Run.objects.select_for_update(of=("self",)).values_list("tags", flat=True).get(pk=run.pk)
    return update(run, tags=[*tags, name])
