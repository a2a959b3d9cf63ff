"""Fits of scaling laws: make, list, read, change, revise, delete, and ask what they foresee."""

from __future__ import annotations

import math
from typing import Annotated, Any

from django.db.models import F
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Query, Router, Status
from pydantic import BaseModel, Field

from webapp.accounts.models import Role
from webapp.api.access import fit_or_404, project_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Conflict, Invalid
from webapp.api.fit_serializers import fit_output, fit_outputs, revision_output
from webapp.api.openapi import file_reply
from webapp.api.schemas.fits import (
    FitChanges,
    FitInput,
    FitList,
    FitOutput,
    PredictInput,
    Prediction,
    PredictOutput,
    RevisionList,
    RevisionOutput,
)
from webapp.api.streaming import attachment, gathered
from webapp.api.wire import refuse_non_finite
from webapp.scaling import actions, queries
from webapp.scaling.exporting import points_csv
from webapp.scaling.models import Fit, Revision
from webapp.scaling.reading import Reading, read
from webapp.sweeps import tables

router = Router()
CSV = file_reply("One row a point: its columns, what the law says there, the residual.", "text/csv")
Limit = Annotated[int, Field(ge=1, le=200)]


class FitFilter(BaseModel):
    project: str = Field("", description="A project's slug; all of yours when left out.")


@router.get("", response=FitList)
def list_fits(request: HttpRequest, filters: Query[FitFilter], limit: Limit = 50, cursor: str = "") -> FitList:
    """Newest first."""
    user = user_of(request)
    found = queries.visible(user)
    if filters.project:
        found = found.filter(project=project_or_404(user, filters.project))
    page = tables.page(found, cursor=cursor, limit=limit, expression=F("id"))
    return FitList(items=fit_outputs(page.items), next=page.next)


@router.post("", response={201: FitOutput})
def create_fit(request: HttpRequest, body: FitInput) -> Status[FitOutput]:
    """Queues its first revision. For editors."""
    user = user_of(request)
    project = project_or_404(user, body.project, Role.EDITOR)
    refuse_non_finite(body.spec, ("spec",))
    about = body.model_dump(include={"spec", "name", "is_kept_current"})
    return Status(201, fit_output(actions.create_fit(project=project, user=user, **about)))


@router.get("/{int:fit_id}", response=FitOutput)
def get_fit(request: HttpRequest, fit_id: int) -> FitOutput:
    return fit_output(fit_or_404(user_of(request), fit_id))


@router.patch("/{int:fit_id}", response=FitOutput)
def edit_fit(request: HttpRequest, fit_id: int, body: FitChanges) -> FitOutput:
    """Renames it, keeps it current or no longer, or fits another spec. For editors."""
    user = user_of(request)
    fit = fit_or_404(user, fit_id, Role.EDITOR)
    refuse_non_finite(body.spec or {}, ("spec",))
    changes: dict[str, Any] = body.model_dump(exclude_unset=True)
    return fit_output(actions.edit_fit(fit, user=user, **changes))


@router.delete("/{int:fit_id}", response={204: None})
def delete_fit(request: HttpRequest, fit_id: int) -> Status[None]:
    """Hides it and cancels a revision that waits or runs; the runs of its revisions stay. For editors."""
    actions.delete_fit(fit_or_404(user_of(request), fit_id, Role.EDITOR))
    return Status(204, None)


@router.post("/{int:fit_id}/revise", response={201: RevisionOutput})
def revise_fit(request: HttpRequest, fit_id: int) -> Status[RevisionOutput]:
    """Looks its query up and fits the points of now. For editors."""
    user = user_of(request)
    return Status(201, revision_output(actions.revise(fit_or_404(user, fit_id, Role.EDITOR), user)))


@router.get("/{int:fit_id}/revisions", response=RevisionList)
def list_revisions(request: HttpRequest, fit_id: int, limit: Limit = 50, cursor: str = "") -> RevisionList:
    """Newest first."""
    found = queries.revisions(fit_or_404(user_of(request), fit_id)).order_by()
    page = tables.page(found, sort="-number", cursor=cursor, limit=limit, expression=F("number"))
    return RevisionList(items=[revision_output(revision) for revision in page.items], next=page.next)


@router.get("/{int:fit_id}/points.csv", response={200: None}, openapi_extra=CSV)
def export_points(request: HttpRequest, fit_id: int) -> StreamingHttpResponse:
    """The points of the last revision that has succeeded, held-out ones too, with prediction and residual."""
    fit = fit_or_404(user_of(request), fit_id)
    pieces = gathered(points_csv(_latest(fit).run.result or {}))
    return attachment(request, pieces, f"fit-{fit.pk}-points.csv", content_type="text/csv; charset=utf-8")


@router.post("/{int:fit_id}/predict", response=PredictOutput)
def predict_points(request: HttpRequest, fit_id: int, body: PredictInput) -> PredictOutput:
    """What the last revision that has succeeded foresees at any points, with its band and interval."""
    latest = _latest(fit_or_404(user_of(request), fit_id))
    reading = read(latest.run)
    if reading is None:
        raise Conflict(f"The law of revision {latest.number} is not known to this version: revise the fit.")
    return PredictOutput(
        revision=latest.number,
        law=reading.law.name,
        target=reading.law.target,
        level=reading.level,
        notice=reading.notice,
        items=_predictions(reading, body.points),
    )


def _latest(fit: Fit) -> Revision:
    """Raises Conflict while none has succeeded."""
    latest = queries.latest(fit)
    if latest is None:
        raise Conflict(f"No revision of fit {fit.pk} has succeeded yet.")
    return latest


def _predictions(reading: Reading, points: list[dict[str, float]]) -> list[Prediction]:
    from gpu_jobs.engine.laws.doubts import extrapolation

    names = list(reading.law.variables)
    missing = [(place, name) for place, at in enumerate(points) for name in names if not _is_there(at, name)]
    if missing:
        errors = [{"loc": ["points", place, name], "msg": f"The law reads {name}: give a number."}
                  for place, name in missing[:20]]  # fmt: skip
        raise Invalid(errors)
    told = reading.foreseen({name: [at[name] for at in points] for name in names})
    fitted = reading.problem().variables
    return [
        Prediction(
            at={name: at[name] for name in names},
            value=_number(told.value[place]),
            band=_pair(told.band_low[place], told.band_high[place]),
            interval=_pair(told.interval_low[place], told.interval_high[place]),
            extrapolation=_number(extrapolation(at, fitted)),
        )
        for place, at in enumerate(points)
    ]


def _is_there(at: dict[str, float], name: str) -> bool:
    return name in at and math.isfinite(at[name])


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _pair(low: Any, high: Any) -> list[float] | None:
    return [float(low), float(high)] if math.isfinite(low) and math.isfinite(high) else None
