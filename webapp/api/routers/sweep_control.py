"""What may be done to a sweep: pause, resume, stop, extend, try its failed trials again."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from webapp.accounts.models import Role
from webapp.api.access import sweep_or_404
from webapp.api.auth import user_of
from webapp.api.schemas.sweeps import Extension, Requeued, SweepOutput
from webapp.api.sweep_serializers import sweep_output
from webapp.api.wire import refuse_non_finite
from webapp.sweeps import actions
from webapp.sweeps.models import Sweep

router = Router()


@router.post("/{int:sweep_id}/pause", response=SweepOutput)
def pause_sweep(request: HttpRequest, sweep_id: int) -> SweepOutput:
    """Asks for nothing new; what trains goes on. For editors."""
    return sweep_output(request, actions.pause(_sweep(request, sweep_id), user_of(request)))


@router.post("/{int:sweep_id}/resume", response=SweepOutput)
def resume_sweep(request: HttpRequest, sweep_id: int) -> SweepOutput:
    """Lets a paused sweep go on. For editors."""
    return sweep_output(request, actions.resume(_sweep(request, sweep_id), user_of(request)))


@router.post("/{int:sweep_id}/stop", response=SweepOutput)
def stop_sweep(request: HttpRequest, sweep_id: int) -> SweepOutput:
    """Ends it and cancels its runs; each writes a checkpoint first. For editors."""
    return sweep_output(request, actions.stop(_sweep(request, sweep_id), user_of(request)))


@router.post("/{int:sweep_id}/extend", response=SweepOutput)
def extend_sweep(request: HttpRequest, sweep_id: int, body: Extension) -> SweepOutput:
    """Adds trials, changes limits of the budget, or both; a sweep that is over goes on. For editors."""
    changes = body.model_dump(exclude_unset=True)
    refuse_non_finite(changes)
    return sweep_output(request, actions.extend(_sweep(request, sweep_id), user_of(request), **changes))


@router.post("/{int:sweep_id}/requeue-failed", response=Requeued)
def requeue_failed_trials(request: HttpRequest, sweep_id: int) -> Requeued:
    """Failed trials run again; out of memory and diverged are results, and stay. For editors."""
    return Requeued(requeued=actions.requeue_failed(_sweep(request, sweep_id), user_of(request)))


def _sweep(request: HttpRequest, sweep_id: int) -> Sweep:
    return sweep_or_404(user_of(request), sweep_id, Role.EDITOR)
