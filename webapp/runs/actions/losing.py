"""What happens to a run whose attempt is lost: it is tried again from its checkpoint while it may be."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Now

from webapp.runs import tickets
from webapp.runs.actions.outcomes import settle
from webapp.runs.actions.transitions import announce
from webapp.runs.models import Attempt, Run
from webapp.runs.states import Status

SILENT = "Its worker fell silent: the process or the machine died, or lost its way to the database."


def lose(attempt: Attempt, *, error_type: str = "LostError", error_message: str = SILENT) -> Run:
    """Ends a locked, living attempt as lost. A stop that was asked for is granted; else the run waits again or is LOST.

    The series are not rewound here: the next attempt does it when it starts, to the step it resumes from.
    """
    error = {"error_type": error_type, "error_message": error_message}
    Attempt.objects.filter(pk=attempt.pk).update(status=Status.LOST, ended_at=Now(), **error)
    run = Run.objects.select_for_update(of=("self",)).select_related("project").get(pk=attempt.run_id)
    for name, value in _next(run, error).items():
        setattr(run, name, value)
    run.save(update_fields=["status", "losses", "ended_at", "phase", "error_type", "error_message"])
    run.refresh_from_db()
    announce(run)
    settle(run)
    if run.status == Status.QUEUED:
        tickets.send_on_commit(run.queue_id)
    return run


def _next(run: Run, error: dict[str, str]) -> dict[str, Any]:
    if run.status == Status.PAUSING:
        return {"status": Status.PAUSED, "phase": ""}
    if run.status == Status.CANCELLING:
        return {"status": Status.CANCELLED, "ended_at": Now()}
    if run.status not in (Status.STARTING, Status.RUNNING):
        return {}
    losses = run.losses + 1
    if losses < run.max_attempts:
        return {"status": Status.QUEUED, "losses": losses, "phase": ""}
    message = f"{error['error_message']} All {run.max_attempts} attempts were lost; requeue it for as many again."
    return {"status": Status.LOST, "losses": losses, "ended_at": Now(), **error, "error_message": message}
