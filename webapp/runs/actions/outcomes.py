"""What one run's end means for the runs that wait for its model."""

from __future__ import annotations

from django.db.models.functions import Now

from webapp.runs import tickets
from webapp.runs.actions.transitions import change
from webapp.runs.models import Artifact, Run
from webapp.runs.states import FINAL, Status


def settle(run: Run) -> None:
    """Once `run` is final: wakes workers for the runs that waited for its model, or fails them when it has none."""
    if run.status not in FINAL:
        return
    has_model = run.artifacts.filter(type=Artifact.Type.MODEL).exists() and run.deleted_at is None
    for dependent in Run.objects.filter(inputs__source=run, status=Status.QUEUED, deleted_at=None).distinct():
        if has_model:
            tickets.send_on_commit(dependent.queue_id)
        else:
            _fail(dependent, run)


def _fail(dependent: Run, source: Run) -> None:
    ending = "was deleted" if source.deleted_at else f"ended as {source.get_status_display().lower()} without a model"
    message = f"Its input, run {source.id}, {ending}. Requeue that run first, or clone this one with another model."
    fields = {"status": Status.FAILED, "error_type": "InputError", "error_message": message, "ended_at": Now()}
    if change(dependent, {Status.QUEUED}, **fields):
        settle(dependent)
