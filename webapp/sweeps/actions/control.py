"""What people do to a sweep: pause, resume, stop."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import QuerySet

from webapp.accounts.models import User
from webapp.runs import actions as run_actions
from webapp.runs.errors import WrongState as WrongRunState
from webapp.runs.models import Run
from webapp.runs.states import STOPPABLE
from webapp.sweeps.actions.transitions import become, close, locked, require
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.states import LIVE, OPEN, SweepStatus, TrialStatus


@transaction.atomic
def pause(sweep: Sweep, user: User | None) -> Sweep:
    """Nothing new is queued; what trains goes on to its end. Raises WrongState."""
    sweep = locked(sweep)
    require(sweep, {SweepStatus.RUNNING, SweepStatus.REPORTING}, "paused")
    become(sweep, SweepStatus.PAUSED, "Paused.", user)
    return sweep


@transaction.atomic
def resume(sweep: Sweep, user: User | None) -> Sweep:
    """Raises WrongState."""
    sweep = locked(sweep)
    require(sweep, {SweepStatus.PAUSED}, "resumed")
    become(sweep, SweepStatus.RUNNING, "Resumed.", user)
    return sweep


@transaction.atomic
def stop(sweep: Sweep, user: User | None) -> Sweep:
    """For good, though it may be extended: what trains writes a checkpoint and ends. Raises WrongState."""
    sweep = locked(sweep)
    require(sweep, LIVE, "stopped")
    cancel_runs(sweep)
    become(sweep, SweepStatus.STOPPED, f"Stopped by {user.username}." if user else "Stopped.", user)
    return sweep


def runs_of(sweep: Sweep) -> QuerySet[Run]:
    return Run.objects.filter(replicate__trial__sweep=sweep, deleted_at=None).select_related("project")


def cancel_runs(sweep: Sweep) -> None:
    """Cancels every run and closes every trial that is not over."""
    cancel_all(runs_of(sweep).filter(status__in=STOPPABLE))
    for trial in Trial.objects.filter(sweep=sweep, status__in=OPEN):
        close(trial, TrialStatus.CANCELLED, "The sweep was stopped.")


def cancel_all(runs: Iterable[Run]) -> None:
    """A run that ends by itself meanwhile needs no cancelling."""
    for run in runs:
        try:
            run_actions.cancel(run)
        except WrongRunState:
            continue
