"""Runs: submit, list, read, change, delete."""

from __future__ import annotations

from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Header, Query, Router, Status
from pydantic import BaseModel, Field

from webapp.accounts.models import Role
from webapp.api.access import project_or_404, run_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Invalid
from webapp.api.schemas.runs import CompletionItem, CompletionOutput, RunChanges, RunInput, RunList, RunOutput
from webapp.api.serializers import run_list, run_output
from webapp.api.wire import refuse_non_finite
from webapp.metrics.models import NAME_LENGTH
from webapp.runs import actions, tables
from webapp.runs.actions.outside import EXTERNAL
from webapp.runs.counting import narrowed
from webapp.runs.language import complete, part_text
from webapp.runs.models import Run

router = Router()


class RunFilter(BaseModel):
    """Which runs; all of them together must hold."""

    project: str = Field("", description="A project's slug; all of yours when left out.")
    q: str = Field("", max_length=tables.MOST_CHARACTERS, description=tables.WORDS)
    status: str = Field("", description="Statuses, and the groups active, waiting, final, separated by commas.")
    tag: str = Field("", description="Tags that it must all have, separated by commas.")
    kind: str = Field("", description="Kinds, separated by commas.")
    queue: str = ""


Limit = Annotated[int, Field(ge=1, le=tables.MOST)]
Text = Annotated[str, Field(max_length=tables.MOST_CHARACTERS)]
METRIC = "metric."
KEY = "For kind external: sent again with the same key (up to 200 characters), the request makes no second run."
Key = Annotated[str | None, Header(alias="Idempotency-Key", description=KEY)]


@router.get("", response=RunList)
def list_runs(
    request: HttpRequest, filters: Query[RunFilter], sort: str = "-id", limit: Limit = 50, cursor: str = ""
) -> HttpResponse:
    """Newest first, or by `sort`: a column, `metrics.<name>` (or `.min`, `.max`, `.mean` of it) or `params.<path>`.

    `-` in front turns it round; runs that have no value come last either way.
    """
    sort, runs = sort_of(sort), matching(request, filters)
    more = any(filters.model_dump(exclude={"project", "q"}).values())
    if more or filters.q:
        key = ("api", user_of(request).pk, *filters.model_dump().values())
        runs = narrowed(key, filters.q, runs, tables.order_of(sort), more).runs
    found = tables.page(runs.select_related(None).only("pk"), sort=sort, cursor=cursor, limit=limit)
    return run_list(request, [run.pk for run in found.items], found.next)


@router.post("", response={201: RunOutput})
def submit_run(request: HttpRequest, body: RunInput, key: Key = None) -> Status[RunOutput]:
    """Queues a job; a spec of `{"kind": "external"}` starts a run whose points you send yourself. For editors."""
    user = user_of(request)
    project = project_or_404(user, body.project, Role.EDITOR)
    refuse_non_finite(body.spec, ("spec",))
    fields = body.model_dump(exclude={"project"})
    if body.spec.get("kind") == EXTERNAL:
        run = _create_external(project=project, user=user, key=key, **fields)
    elif key is not None:
        raise Invalid([{"loc": ["Idempotency-Key"], "msg": "Only a run of kind external can be made with a key."}])
    else:
        run = actions.submit(project=project, user=user, **fields)
    return Status(201, run_output(request, run))


@router.get("/completions", response=CompletionOutput)
def complete_query(request: HttpRequest, project: str, q: Text = "", at: int | None = None) -> CompletionOutput:
    """What may stand at a character of a query over a project's runs: columns, metrics, operators, values.

    `at` counts characters from 0; the end of `q` when left out. Names and values are those of the newest runs.
    """
    runs = Run.objects.filter(project=project_or_404(user_of(request), project), deleted_at=None)
    found = complete(q, len(q) if at is None else at, runs)
    items = [CompletionItem(text=item.text, label=item.label, kind=item.kind) for item in found.items]
    return CompletionOutput(start=found.start, end=found.end, items=items)


@router.get("/{int:run_id}", response=RunOutput)
def get_run(request: HttpRequest, run_id: int) -> RunOutput:
    return run_output(request, run_or_404(user_of(request), run_id))


@router.patch("/{int:run_id}", response=RunOutput)
def update_run(request: HttpRequest, run_id: int, body: RunChanges) -> RunOutput:
    """Changes the name, tags, priority, queue or baseline. For editors."""
    run = run_or_404(user_of(request), run_id, Role.EDITOR)
    changes: dict[str, Any] = body.model_dump(exclude_unset=True)
    actions.update(run, **changes)
    return run_output(request, run)


@router.delete("/{int:run_id}", response={204: None})
def delete_run(request: HttpRequest, run_id: int) -> Status[None]:
    """Soft: it disappears everywhere, its files go with the next garbage collection. For editors."""
    actions.delete(run_or_404(user_of(request), run_id, Role.EDITOR))
    return Status(204, None)


def matching(request: HttpRequest, filters: RunFilter) -> QuerySet[Run]:
    user = user_of(request)
    fields = filters.model_dump(exclude={"project"})
    if not filters.project:
        return tables.table(user, **fields)
    project = project_or_404(user, filters.project)  # so its runs are theirs to see: no row need be asked for that
    return tables.table(user, project, runs=Run.objects.filter(deleted_at=None), **fields)


def sort_of(sort: str) -> str:
    """`metric.<name>` is the last value of the metric of exactly this name, whatever characters are in it."""
    sign, name = ("-", sort[1:]) if sort.startswith("-") else ("", sort)
    if not name.startswith(METRIC):
        return sort
    metric = name.removeprefix(METRIC)
    if not 1 <= len(metric) <= NAME_LENGTH:
        msg = f"sort by a metric is {METRIC}<name> with 1 to {NAME_LENGTH} characters, not {len(metric)}."
        raise Invalid([{"loc": ["sort"], "msg": msg}])
    return f"{sign}metrics.{part_text(metric)}"


def _create_external(*, name: str, priority: int, queue: str, **fields: Any) -> Run:
    """It waits in no queue, so neither priority nor queue mean anything."""
    return actions.create_external(name=name or EXTERNAL, **fields)
