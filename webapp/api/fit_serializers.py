"""Fits as the API shows them: a page of them costs a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.urls import reverse

from webapp.api.schemas.fits import FitOutput, RevisionOutput
from webapp.api.schemas.runs import RunError
from webapp.runs.states import Status
from webapp.scaling import queries
from webapp.scaling.models import Fit, Revision


def fit_output(fit: Fit) -> FitOutput:
    """The fit as it is in the database now."""
    return fit_outputs([Fit.objects.select_related("project", "created_by").get(pk=fit.pk)])[0]


def fit_outputs(fits: Sequence[Fit]) -> list[FitOutput]:
    latest, pending = queries.latest_of(fits), queries.pending_of(fits)
    return [_output(fit, latest.get(fit.pk), pending.get(fit.pk)) for fit in fits]


def revision_output(revision: Revision) -> RevisionOutput:
    run = revision.run
    told: dict[str, Any] = run.result if run.status == Status.SUCCEEDED and run.result else {}
    points = told.get("points") or {}
    return RevisionOutput(
        number=revision.number,
        run=run.pk,
        status=Status(run.status),
        points=points.get("used"),
        held_out=points.get("held_out"),
        parameters=told.get("parameters"),
        intervals=told.get("intervals"),
        derived=told.get("derived"),
        objective=told.get("objective"),
        warnings=told.get("warnings") or [],
        error=RunError(type=run.error_type, message=run.error_message) if run.error_type else None,
        created_at=revision.created_at,
        ended_at=run.ended_at,
        run_url=reverse("api:get_run", kwargs={"run_id": run.pk}),
    )


def _output(fit: Fit, latest: Revision | None, pending: Revision | None) -> FitOutput:
    place = {"fit_id": fit.pk}
    return FitOutput(
        id=fit.pk,
        project=fit.project.slug,
        name=fit.name,
        spec=fit.spec,
        is_kept_current=fit.is_kept_current,
        looked_at=fit.looked_at,
        notice=fit.notice,
        latest=revision_output(latest) if latest else None,
        pending=revision_output(pending) if pending else None,
        created_by=fit.created_by.username if fit.created_by else None,
        created_at=fit.created_at,
        revisions_url=reverse("api:list_revisions", kwargs=place),
        points_url=reverse("api:export_points", kwargs=place),
    )
