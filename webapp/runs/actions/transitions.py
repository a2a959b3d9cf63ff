"""The one way a run changes state: a conditional UPDATE whose row count is looked at, and news of it on commit."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from webapp.runs import news
from webapp.runs.errors import WrongState
from webapp.runs.models import Run
from webapp.runs.states import FINAL, PAUSABLE, REQUEUEABLE, STOPPABLE, Status

WAYS_OUT = (
    (STOPPABLE, "cancelled"),
    (PAUSABLE, "paused"),
    (frozenset({Status.PAUSED}), "resumed"),
    (REQUEUEABLE, "requeued"),
    (FINAL, "cloned"),
)


def change(run: Run, sources: Collection[str], **fields: Any) -> bool:
    """Updates the run's row while it is in one of `sources` and not deleted; reloads `run`; tells the news.

    False, with nothing written, when the run is in another state (somebody else was faster).
    """
    changed = Run.objects.filter(pk=run.pk, status__in=sources, deleted_at=None).update(**fields)
    run.refresh_from_db()
    if changed:
        announce(run)
    return bool(changed)


def require(changed: bool, run: Run, wanted: str) -> None:
    """Raises WrongState with what is possible instead."""
    if changed:
        return
    if run.deleted_at:
        raise WrongState(f"Run {run.id} is deleted and can't be {wanted}.")
    possible = [way for states, way in WAYS_OUT if run.status in states and way != wanted]
    raise WrongState(f"Run {run.id} is {run.get_status_display().lower()} and can't be {wanted}{_instead(possible)}.")


def _instead(possible: list[str]) -> str:
    return f"; it can be {' or '.join(possible)}" if possible else "; wait until it has stopped"


def announce(run: Run) -> None:
    """Tells the run's page and every table of runs how it stands."""
    short = {"run": run.id, "status": run.status, "step": run.step, "steps": run.steps}
    error = {"type": run.error_type, "message": run.error_message} if run.error_type else None
    news.publish_on_commit(run.id, "state", {**short, "phase": run.phase, "error": error})
    news.publish_on_commit("all", "state", {**short, "project": run.project.slug, "queue": run.queue_id})
