"""How a sweep changes: its row is locked, its state looked at, and what happened is told in a sentence."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models.functions import Now

from webapp.accounts.models import User
from webapp.sweeps.errors import WrongState
from webapp.sweeps.models import Sweep, SweepEvent, Trial
from webapp.sweeps.states import LIVE, OVER, SweepStatus, TrialStatus

WAYS_OUT = (
    (frozenset({SweepStatus.RUNNING, SweepStatus.REPORTING}), "paused"),
    (frozenset({SweepStatus.PAUSED}), "resumed"),
    (LIVE, "stopped"),
    (OVER, "extended"),
)


def locked(sweep: Sweep) -> Sweep:
    """The sweep as it is now, its row held until the transaction ends. Raises WrongState when it is deleted."""
    found = Sweep.objects.select_for_update(of=("self",)).select_related("project", "created_by").get(pk=sweep.pk)
    if found.deleted_at:
        raise WrongState(f"Sweep {found.pk} is deleted.")
    return found


def require(sweep: Sweep, states: Collection[str], wanted: str) -> None:
    """Raises WrongState with what is possible instead."""
    if sweep.status in states:
        return
    possible = [way for some, way in WAYS_OUT if sweep.status in some and way != wanted]
    raise WrongState(f"Sweep {sweep.pk} is {sweep.status} and can't be {wanted}; it can be {' or '.join(possible)}.")


def become(sweep: Sweep, status: SweepStatus, message: str, by: User | None = None) -> None:
    """The caller holds the row."""
    sweep.status = status
    sweep.end_reason = message if status in OVER else ""
    Sweep.objects.filter(pk=sweep.pk).update(
        status=status, end_reason=sweep.end_reason, ended_at=Now() if status in OVER else None
    )
    tell(sweep, message, by)


def tell(sweep: Sweep, message: str, by: User | None = None) -> None:
    SweepEvent.objects.create(sweep=sweep, by=by, message=message)


def close(trial: Trial, status: TrialStatus, message: str = "", values: list[float] | None = None) -> None:
    """Ends a trial; a value that is not given stays as it is."""
    changes: dict[str, Any] = {"status": status, "message": message, "ended_at": Now()}
    if values is not None:
        changes["values"] = values
    Trial.objects.filter(pk=trial.pk).update(**changes)
    trial.refresh_from_db()
