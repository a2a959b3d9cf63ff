"""Ladders: what one would cost, queue one, how far it is, and which run it should make next."""

from __future__ import annotations

from typing import Annotated, Any

from django.db.models import F
from django.http import HttpRequest
from ninja import Query, Router, Status
from pydantic import Field

from webapp.accounts.models import Role
from webapp.api import ladder_serializers as told
from webapp.api.access import ladder_or_404, project_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Invalid
from webapp.api.schemas.ladders import (
    CancelledOutput,
    LadderInput,
    LadderList,
    LadderOutput,
    LadderPlanInput,
    LadderPlanOutput,
    NextInput,
    NextOutput,
    RungOutput,
)
from webapp.api.wire import refuse_non_finite
from webapp.scaling import actions, next_runs, proposals
from webapp.scaling import definition as definitions
from webapp.scaling import ladder_queries as queries
from webapp.scaling.models import Ladder
from webapp.sweeps import tables

router = Router()
PLACE = ("name", "tags", "priority", "queue")  # what a body says beside the definition
Limit = Annotated[int, Field(ge=1, le=tables.MOST)]


@router.get("", response=LadderList)
def list_ladders(
    request: HttpRequest,
    project: Annotated[str, Query(description="A project's slug; all of yours when left out.")] = "",
    limit: Limit = 50,
    cursor: str = "",
) -> LadderList:
    """Newest first."""
    user = user_of(request)
    found = queries.visible(user)
    if project:
        found = found.filter(project=project_or_404(user, project))
    page = tables.page(found, cursor=cursor, limit=limit, expression=F("id"))
    return LadderList(items=told.summaries(page.items), next=page.next)


@router.post("/plan", response=LadderPlanOutput)
def plan_ladder(request: HttpRequest, body: LadderPlanInput) -> LadderPlanOutput:
    """The runs that it would queue, and their cost; nothing is queued."""
    user = user_of(request)
    project = project_or_404(user, body.project)
    checked = definitions.checked(_definition(body))
    return told.plan(proposals.proposal(checked, user, project))


@router.post("", response={201: LadderOutput})
def create_ladder(request: HttpRequest, body: LadderInput) -> Status[LadderOutput]:
    """Queues all its runs, or none, and makes the fit that goes through them. For editors."""
    user = user_of(request)
    project = project_or_404(user, body.project, Role.EDITOR)
    place: dict[str, Any] = body.model_dump(include=set(PLACE))
    ladder = actions.create_ladder(project=project, user=user, definition=_definition(body), **place)
    return Status(201, told.whole(_again(ladder)))


@router.get("/{int:ladder_id}", response=LadderOutput)
def get_ladder(request: HttpRequest, ladder_id: int) -> LadderOutput:
    return told.whole(ladder_or_404(user_of(request), ladder_id))


@router.delete("/{int:ladder_id}", response={204: None})
def delete_ladder(request: HttpRequest, ladder_id: int) -> Status[None]:
    """Hides it and cancels what it has in the queue or training; its runs and its fit stay. For editors."""
    actions.delete_ladder(ladder_or_404(user_of(request), ladder_id, Role.EDITOR))
    return Status(204, None)


@router.post("/{int:ladder_id}/cancel", response=CancelledOutput)
def cancel_ladder(request: HttpRequest, ladder_id: int) -> CancelledOutput:
    """Cancels its runs that wait or train. For editors."""
    return CancelledOutput(cancelled=actions.cancel_ladder(ladder_or_404(user_of(request), ladder_id, Role.EDITOR)))


@router.get("/{int:ladder_id}/next", response=NextOutput)
def list_next_runs(request: HttpRequest, ladder_id: int) -> NextOutput:
    """By how much further runs would narrow the interval at the target, the best per FLOP first."""
    user = user_of(request)
    return told.suggestions(next_runs.suggested(ladder_or_404(user, ladder_id), user))


@router.post("/{int:ladder_id}/next", response={201: RungOutput})
def queue_next_run(request: HttpRequest, ladder_id: int, body: NextInput) -> Status[RungOutput]:
    """Queues one of them, or a run of any other size and length. For editors."""
    user = user_of(request)
    ladder = ladder_or_404(user, ladder_id, Role.EDITOR)
    refuse_non_finite(body.model_dump())
    size, tokens = (body.at.N, body.at.D) if body.at else _chosen(ladder, user, body.choice or 0)
    rung = actions.add_rung(ladder, user, parameters=size, tokens=tokens)
    row = next(row for row in queries.standing(ladder).rows if row.rung.pk == rung.pk)
    return Status(201, told.rung(row))


def _chosen(ladder: Ladder, user: Any, number: int) -> tuple[float, float]:
    found = next_runs.suggested(ladder, user)
    plan = next((choice.run.plan for choice in found.choices if choice.number == number), None)
    if plan is None:
        said = found.reason or f"choice must be 1 to {len(found.choices)}, not {number}."
        raise Invalid([{"loc": ["choice"], "msg": said}])
    return plan["N"], plan["D"]


def _definition(body: LadderPlanInput) -> dict[str, Any]:
    """What was sent of the definition."""
    found = body.model_dump(exclude_unset=True, exclude={"project", *PLACE})
    refuse_non_finite(found)
    return found


def _again(ladder: Ladder) -> Ladder:
    return Ladder.objects.select_related("project", "created_by", "fit").get(pk=ladder.pk)
