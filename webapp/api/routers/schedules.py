"""Schedules: when to queue a run or a sweep, and what became of their times."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from ninja import Router, Status
from pydantic import Field

from webapp.accounts.models import Role
from webapp.api.access import LARGEST_ID, project_or_404, schedule_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Invalid
from webapp.api.schedule_serializers import firing_output, schedule_output, schedule_outputs
from webapp.api.schemas.schedules import (
    FiringList,
    FiringOutput,
    ScheduleChanges,
    ScheduleInput,
    ScheduleList,
    ScheduleOutput,
)
from webapp.api.wire import refuse_non_finite
from webapp.sweeps.scheduling import actions, queries

router = Router()
Limit = Annotated[int, Field(ge=1, le=500)]
Row = TypeVar("Row", bound=Model)


@router.get("", response=ScheduleList)
def list_schedules(request: HttpRequest, project: str = "", limit: Limit = 50, cursor: str = "") -> ScheduleList:
    """Newest first, of a project or of all of yours."""
    user = user_of(request)
    found = queries.visible(user)
    found = found.filter(project=project_or_404(user, project)) if project else found
    rows, following = _page(found, limit, cursor)
    return ScheduleList(items=schedule_outputs(request, rows), next=following)


@router.post("", response={201: ScheduleOutput})
def create_schedule(request: HttpRequest, body: ScheduleInput) -> Status[ScheduleOutput]:
    """It acts for you from now on. Its action is checked at once. For editors."""
    user = user_of(request)
    project = project_or_404(user, body.project, Role.EDITOR)
    refuse_non_finite(body.action, ("action",))
    schedule = actions.create(project=project, user=user, **body.model_dump(exclude={"project"}))
    return Status(201, schedule_output(request, schedule))


@router.get("/{int:schedule_id}", response=ScheduleOutput)
def get_schedule(request: HttpRequest, schedule_id: int) -> ScheduleOutput:
    return schedule_output(request, schedule_or_404(user_of(request), schedule_id))


@router.patch("/{int:schedule_id}", response=ScheduleOutput)
def edit_schedule(request: HttpRequest, schedule_id: int, body: ScheduleChanges) -> ScheduleOutput:
    """Changes it from now on; who changes its action is the person it acts for from then on. For editors."""
    schedule = schedule_or_404(user_of(request), schedule_id, Role.EDITOR)
    changes: dict[str, Any] = {name: value for name, value in body.model_dump().items() if value is not None}
    refuse_non_finite(changes.get("action"), ("action",))
    return schedule_output(request, actions.edit(schedule, user_of(request), changes))


@router.delete("/{int:schedule_id}", response={204: None})
def delete_schedule(request: HttpRequest, schedule_id: int) -> Status[None]:
    """Its history goes with it; what it has begun stays. For editors."""
    actions.delete(schedule_or_404(user_of(request), schedule_id, Role.EDITOR))
    return Status(204, None)


@router.post("/{int:schedule_id}/run", response={201: FiringOutput})
def run_schedule(request: HttpRequest, schedule_id: int) -> Status[FiringOutput]:
    """Begins it at once, for the person it acts for; its times stay as they are. For editors."""
    schedule = schedule_or_404(user_of(request), schedule_id, Role.EDITOR)
    return Status(201, firing_output(actions.run_now(schedule, user_of(request))))


@router.get("/{int:schedule_id}/firings", response=FiringList)
def list_firings(request: HttpRequest, schedule_id: int, limit: Limit = 50, cursor: str = "") -> FiringList:
    """What became of its times, newest first."""
    schedule = schedule_or_404(user_of(request), schedule_id)
    rows, following = _page(queries.firings(schedule), limit, cursor)
    return FiringList(items=[firing_output(firing) for firing in rows], next=following)


def _page(rows: QuerySet[Row], limit: int, cursor: str) -> tuple[list[Row], str | None]:
    """Newest first; the cursor is the last id of the page before."""
    if cursor:
        rows = rows.filter(pk__lt=_place(cursor))
    found = list(rows.order_by("-pk")[: limit + 1])
    return found[:limit], str(found[limit - 1].pk) if len(found) > limit else None


def _place(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 19 or int(cursor) > LARGEST_ID:
        raise Invalid([{"loc": ["cursor"], "msg": "Pass the `next` of an earlier answer, or leave it out."}])
    return int(cursor)
