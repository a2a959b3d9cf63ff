"""One thing done to many runs of a project at once."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Router

from webapp.accounts.models import Project, Role
from webapp.api.access import project_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Conflict, Invalid
from webapp.api.routers.runs import RunFilter, matching
from webapp.api.schemas.bulk import BulkInput, BulkReply
from webapp.runs.models import Run
from webapp.runs.selection import Selection, act, action_of, select

router = Router()


@router.post("/bulk", response=BulkReply)
def change_runs(request: HttpRequest, body: BulkInput) -> BulkReply:
    """Cancels, pauses, resumes, requeues, deletes or tags runs of one project, those named or all that match.

    For editors. `dry_run` says how many runs are meant, and their `digest`. With it nothing is done once other runs
    match (409); to act on all that match it must be sent. A run whose state does not allow it is left: see `refused`.
    """
    project = project_or_404(user_of(request), body.project, Role.EDITOR)
    chosen = select(_named(project, body.runs) if body.runs is not None else _matching(request, body))
    if body.dry_run:
        return BulkReply(matched=len(chosen.numbers), digest=chosen.digest, done=0, refused=[])
    _require_confirmed(body, chosen)
    action = action_of(body.action, body.tag)
    assert action is not None
    done = act(chosen.numbers, action)
    return BulkReply(matched=len(chosen.numbers), digest=chosen.digest, done=done.count, refused=done.refused)


def _named(project: Project, numbers: list[int]) -> QuerySet[Run]:
    """Raises Invalid for the first that is not there."""
    found = Run.objects.filter(project=project, deleted_at=None, pk__in=numbers)
    there = set(found.values_list("pk", flat=True))
    for place, number in enumerate(numbers):
        if number not in there:
            raise Invalid([{"loc": ["runs", place], "msg": f"There is no run {number} in {project.slug}."}])
    return found


def _matching(request: HttpRequest, body: BulkInput) -> QuerySet[Run]:
    assert body.matching is not None
    return matching(request, RunFilter(project=body.project, **body.matching.model_dump()))


def _require_confirmed(body: BulkInput, chosen: Selection) -> None:
    if body.digest is None and body.matching is not None:
        message = "Send the digest that this request answers with dry_run: so nothing is done to runs that nobody saw."
        raise Invalid([{"loc": ["digest"], "msg": message}])
    if body.digest not in (None, chosen.digest):
        raise Conflict(f"Other runs match than those of this digest: now {chosen.count_text}. Nothing was done.")
