"""Actions taken from what is there: a run to queue again, a sweep to repeat."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from webapp.accounts.models import Project
from webapp.runs.models import Run
from webapp.sweeps.errors import Invalid
from webapp.sweeps.models import Sweep

MOST_OFFERED = 100
ABOUT = ("name", "tags", "priority")


def runs(project: Project) -> QuerySet[Run]:
    """What can be queued again, newest first, with the columns that tell them apart."""
    found = Run.objects.filter(project=project, deleted_at=None).exclude(kind="external")
    return found.order_by("-id").only("name", "status")


def sweeps(project: Project) -> QuerySet[Sweep]:
    return Sweep.objects.filter(project=project, deleted_at=None).order_by("-id").only("name", "status")


def of_run(project: Project, number: int | None) -> dict[str, Any]:
    """Its spec as it is now, so that the schedule does not change with the run. Raises Invalid."""
    run = Run.objects.filter(project=project, pk=number or 0, deleted_at=None).first()
    if run is None:
        raise Invalid.field("run", _none("run", number))
    if run.kind == "external":
        raise Invalid.field("run", f"Run {number} came from outside: without its training code it can't be queued.")
    baseline = run.baseline_id if run.baseline and run.baseline.deleted_at is None else None
    about = {name: getattr(run, name) for name in ABOUT}
    return {"run": {**about, "queue": run.queue_id, "baseline": baseline, "spec": run.spec}}


def of_sweep(project: Project, number: int | None) -> dict[str, Any]:
    """Its definition less its deadline, which could be met once only. Raises Invalid."""
    sweep = Sweep.objects.filter(project=project, pk=number or 0, deleted_at=None).first()
    if sweep is None:
        raise Invalid.field("sweep", _none("sweep", number))
    definition = {**sweep.definition, "budget": {**sweep.definition.get("budget", {}), "deadline": None}}
    about = {name: getattr(sweep, name) for name in ABOUT}
    return {"sweep": {**about, "queue": sweep.queue_id, "protocol": sweep.protocol, **definition}}


def _none(kind: str, number: int | None) -> str:
    return f"There is no {kind} {number} in this project." if number else f"Say which {kind}, by its number."
