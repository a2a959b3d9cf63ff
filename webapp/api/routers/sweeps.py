"""Sweeps: start, list, read, change, delete, and what happened to one."""

from __future__ import annotations

from typing import Annotated, Any

from django.db.models import F
from django.http import HttpRequest
from ninja import Query, Router, Status
from pydantic import BaseModel, Field

from webapp.accounts.models import Role
from webapp.api.access import LARGEST_ID, project_or_404, sweep_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Invalid
from webapp.api.schemas.sweeps import (
    SweepChanges,
    SweepEventList,
    SweepEventOutput,
    SweepInput,
    SweepList,
    SweepOutput,
)
from webapp.api.sweep_serializers import sweep_output, sweep_summaries
from webapp.api.wire import refuse_non_finite
from webapp.sweeps import actions, tables

router = Router()
PLACE = ("project", "name", "tags", "priority", "queue")  # what a body says beside the definition


class SweepFilter(BaseModel):
    """Which sweeps; all of them together must hold."""

    project: str = Field("", description="A project's slug; all of yours when left out.")
    q: str = Field("", max_length=400, description="Each word must be in the name or the tags, or be the id.")
    status: str = Field("", description="Statuses, and the groups live and over, separated by commas.")


Limit = Annotated[int, Field(ge=1, le=tables.MOST)]


@router.get("", response=SweepList)
def list_sweeps(request: HttpRequest, filters: Query[SweepFilter], limit: Limit = 50, cursor: str = "") -> SweepList:
    """Newest first."""
    user = user_of(request)
    project = project_or_404(user, filters.project) if filters.project else None
    found = tables.table(user, project, q=filters.q, status=filters.status)
    page = tables.page(found, cursor=cursor, limit=limit, expression=F("id"))
    return SweepList(items=sweep_summaries(request, page.items), next=page.next)


@router.post("", response={201: SweepOutput})
def create_sweep(request: HttpRequest, body: SweepInput) -> Status[SweepOutput]:
    """Starts a search: a worker asks for its first points within a second. For editors."""
    user = user_of(request)
    project = project_or_404(user, body.project, Role.EDITOR)
    definition, place = definition_of(body), body.model_dump(include={"name", "tags", "priority", "queue"})
    sweep = actions.create(project=project, user=user, definition=definition, **place)
    return Status(201, sweep_output(request, sweep))


@router.get("/{int:sweep_id}", response=SweepOutput)
def get_sweep(request: HttpRequest, sweep_id: int) -> SweepOutput:
    return sweep_output(request, sweep_or_404(user_of(request), sweep_id))


@router.patch("/{int:sweep_id}", response=SweepOutput)
def edit_sweep(request: HttpRequest, sweep_id: int, body: SweepChanges) -> SweepOutput:
    """Changes the sweep from now on, running or not; what was tried stays. For editors."""
    sweep = sweep_or_404(user_of(request), sweep_id, Role.EDITOR)
    changes: dict[str, Any] = body.model_dump(exclude_unset=True)
    refuse_non_finite(changes)
    return sweep_output(request, actions.edit(sweep, user_of(request), changes))


@router.delete("/{int:sweep_id}", response={204: None})
def delete_sweep(request: HttpRequest, sweep_id: int) -> Status[None]:
    """Hides it and cancels what it has in the queue or training; its runs stay where they are. For editors."""
    actions.delete(sweep_or_404(user_of(request), sweep_id, Role.EDITOR), user_of(request))
    return Status(204, None)


@router.get("/{int:sweep_id}/events", response=SweepEventList)
def list_sweep_events(
    request: HttpRequest, sweep_id: int, cursor: str = "", limit: Annotated[int, Field(ge=1, le=1000)] = 200
) -> SweepEventList:
    """What happened to it and why, oldest first; pass `next` as `cursor` for what came after."""
    sweep = sweep_or_404(user_of(request), sweep_id)
    events = list(sweep.events.filter(id__gt=_place(cursor)).select_related("by").order_by("id")[:limit])
    items = [
        SweepEventOutput(at=event.at, by=event.by.username if event.by else None, message=event.message)
        for event in events
    ]
    return SweepEventList(items=items, next=str(events[-1].pk) if events else cursor or None)


def definition_of(body: SweepInput) -> dict[str, Any]:
    """What was sent of the definition: what was left out gets the definition's own defaults."""
    definition = body.model_dump(exclude_unset=True, exclude=set(PLACE))
    refuse_non_finite(definition)
    return definition


def _place(cursor: str) -> int:
    if not cursor:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 19 or int(cursor) > LARGEST_ID:
        raise Invalid([{"loc": ["cursor"], "msg": "Pass the `next` of an earlier answer, or leave it out."}])
    return int(cursor)
