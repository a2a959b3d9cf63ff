"""What may be done to a run: cancel, pause, resume, requeue, clone, move, finish."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest
from ninja import Router, Status

from webapp.accounts.models import Role
from webapp.api.access import run_or_404
from webapp.api.auth import user_of
from webapp.api.schemas.runs import CloneInput, FinishInput, HeartbeatReply, RunOutput
from webapp.api.schemas.system import MoveInput
from webapp.api.serializers import run_output
from webapp.api.wire import refuse_non_finite
from webapp.runs import actions
from webapp.runs.models import Run
from webapp.runs.states import Status as RunStatus

router = Router()


@router.post("/{int:run_id}/cancel", response=RunOutput)
def cancel_run(request: HttpRequest, run_id: int) -> RunOutput:
    """Stops it for good; a run that trains writes a checkpoint first. For editors."""
    run = _run(request, run_id)
    actions.cancel(run)
    return run_output(request, run)


@router.post("/{int:run_id}/pause", response=RunOutput)
def pause_run(request: HttpRequest, run_id: int) -> RunOutput:
    """Stops it at the next step with a checkpoint and gives its slot back. For editors."""
    run = _run(request, run_id)
    actions.pause(run)
    return run_output(request, run)


@router.post("/{int:run_id}/resume", response=RunOutput)
def resume_run(request: HttpRequest, run_id: int) -> RunOutput:
    """Queues a paused run again; it goes on from its checkpoint. For editors."""
    run = _run(request, run_id)
    actions.resume(run)
    return run_output(request, run)


@router.post("/{int:run_id}/requeue", response=RunOutput)
def requeue_run(request: HttpRequest, run_id: int) -> RunOutput:
    """Queues a run that has ended without success again, as its next attempt. For editors."""
    run = _run(request, run_id)
    actions.requeue(run)
    return run_output(request, run)


@router.post("/{int:run_id}/clone", response={201: RunOutput})
def clone_run(request: HttpRequest, run_id: int, body: CloneInput) -> Status[RunOutput]:
    """Submits a copy with the changes; `spec` is merged in level by level. For editors."""
    refuse_non_finite(body.spec, ("spec",))
    original = _run(request, run_id)
    changes = body.model_dump(exclude_unset=True, exclude={"spec", "name"})
    with transaction.atomic():
        copy = actions.clone(original, user_of(request), body.spec, name=body.name)
        if changes:
            actions.update(copy, **changes)
    return Status(201, run_output(request, copy))


@router.post("/{int:run_id}/move", response=RunOutput)
def move_run(request: HttpRequest, run_id: int, body: MoveInput) -> RunOutput:
    """Gives a queued run a place in its queue by hand. For editors."""
    run = _run(request, run_id)
    actions.move(run, body.position)
    return run_output(request, run)


@router.post("/{int:run_id}/finish", response=RunOutput)
def finish_run(request: HttpRequest, run_id: int, body: FinishInput) -> RunOutput:
    """Ends a run of kind external. For editors."""
    run = _run(request, run_id)
    values: dict[str, Any] = body.model_dump()
    actions.finish_external(run, **values)
    return run_output(request, run)


@router.post("/{int:run_id}/heartbeat", response=HeartbeatReply)
def heartbeat(request: HttpRequest, run_id: int) -> HeartbeatReply:
    """A sign of life from the program behind a run of kind external. For editors.

    Once there was one, a run that is silent for HONE_EXTERNAL_SILENT_S is lost, until it is heard again. The answer
    tells the program whether somebody has cancelled the run.
    """
    return HeartbeatReply(status=RunStatus(actions.heard(_run(request, run_id)).status))


def _run(request: HttpRequest, run_id: int) -> Run:
    return run_or_404(user_of(request), run_id, Role.EDITOR)
