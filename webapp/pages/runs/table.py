"""The runs table: which runs, in what order, and what their rows say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.db.models import F, Prefetch, QuerySet, prefetch_related_objects
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project
from webapp.metrics.queries import summaries
from webapp.metrics.table.fields import SPEED
from webapp.pages.queries import run_count
from webapp.pages.runs.cells import Seen, rows
from webapp.pages.runs.columns import Column, column
from webapp.pages.runs.newest import runs_of
from webapp.pages.runs.query import Query
from webapp.runs.counting import Count, count, narrowed
from webapp.runs.models import Attempt, Run
from webapp.runs.paging import Order, Slice, cut
from webapp.runs.queries import positions
from webapp.runs.states import ACTIVE, FINAL, Status
from webapp.runs.tables import matching

GROUPS = {"active": ACTIVE, "ended": FINAL}


@dataclass(frozen=True)
class Head:
    """A column's head: `url` sorts by it, the other way round when it is sorted by already."""

    column: Column
    url: str
    direction: str  # "ascending", "descending" or ""


@dataclass(frozen=True)
class Table:
    query: Query
    heads: Sequence[Head]
    runs: Sequence[Run]
    rows: SafeString  # each a <tr>
    found: Count
    total: int
    next: str | None
    previous: str | None

    @property
    def is_live(self) -> bool:
        return any(run.status in ACTIVE or run.status == Status.QUEUED for run in self.runs)

    @property
    def next_url(self) -> str:
        return self.query.url_query(after=self.next) if self.next else ""

    @property
    def previous_url(self) -> str:
        return self.query.url_query(before=self.previous) if self.previous else ""

    @property
    def range_text(self) -> str:
        return f"{len(self.runs):,} of {self.found}"


def filtered(runs: QuerySet[Run], query: Query) -> QuerySet[Run]:
    """Those that the query or its words find, in this state, of this kind and tag. Raises BadQuery."""
    runs = matching(runs, query.q)
    if query.status:
        runs = runs.filter(status__in=GROUPS.get(query.status, [query.status]))
    if query.kind:
        runs = runs.filter(kind=query.kind)
    return runs.filter(tags__contains=[query.tag]) if query.tag else runs


def order_of(sort: str) -> tuple[str, Order]:
    """By a column, `-` before its name for descending; newest first by default and where nothing can be sorted by."""
    sign, name = ("-", sort[1:]) if sort.startswith("-") else ("", sort)
    order = column(name).order if name else None
    return ("-id", Order(F("id"))) if order is None else (f"{sign}{name}", order)


def table(project: Project, query: Query, may_edit: bool) -> Table:
    """The page of the table that is asked for; the first for a cursor of another sorting. Raises BadQuery.

    `query.columns` must not be empty. Who may edit has a box to tick in each row.
    """
    runs, known = filtered(runs_of(project), query), None
    if query.is_filtered:
        runs, known = narrowed(query.filter(project), query.q, runs, order_of(query.sort)[1], query.is_narrower)
    columns = [column(name) for name in query.columns]
    found = _slice(runs, query, columns)
    query = replace(query, after="", before="") if found.previous is None else query
    is_all = found.next is None and found.previous is None
    known = len(found.items) if is_all else known
    number = Count(known, False) if known is not None else _count(project, runs, query, len(found.items))
    total = number.number if is_all and not query.is_filtered else run_count(project.pk)
    address = reverse("runs", args=[project.slug])
    drawn = rows(_seen(found.items, columns), columns, address, may_edit)
    return Table(query, _heads(query, columns), found.items, drawn, number, total, found.next, found.previous)


def _count(project: Project, runs: QuerySet[Run], query: Query, shown: int) -> Count:
    """Of all runs, exactly."""
    if not query.is_filtered:
        return Count(run_count(project.pk), False)
    found = count(query.filter(project), query.q, runs, runs_of(project))
    return found._replace(number=max(shown, found.number))


PLAIN = ("name", "kind", "tags", "status", "queue", "priority", "step", "steps", "created_at", "started_at", "ended_at",
         "created_by__username")  # fmt: skip


PACES = Attempt.objects.only("run", "number", "started_at", "resumed_from_step")  # what describe.remaining_s reads


def _slice(runs: QuerySet[Run], query: Query, columns: Sequence[Column]) -> Slice:
    """The rows with what their cells are made of: documents that none shows are not read."""
    sort, order = order_of(query.sort)
    documents = {item.field for item in columns if item.field}
    rows_of = Run.objects.select_related("created_by").only(*PLAIN, *documents)
    try:
        return cut(runs, order, sort, query.rows, query.after, query.before, rows_of)
    except Invalid:
        return cut(runs, order, sort, query.rows, rows_of=rows_of)


def _heads(query: Query, columns: Sequence[Column]) -> list[Head]:
    sort = order_of(query.sort)[0] if query.sort else ""
    return [_head(query, item, sort) for item in (column("name"), *columns)]


def _head(query: Query, item: Column, sort: str) -> Head:
    if item.order is None:
        return Head(item, "", "")
    now = {item.name: "ascending", f"-{item.name}": "descending"}.get(sort, "")
    by = f"-{item.name}" if now == "ascending" else item.name
    return Head(item, query.url_query(sort=by), now)


def _seen(runs: Sequence[Run], columns: Sequence[Column]) -> list[Seen]:
    names = [item.metric[0] for item in columns if item.metric]
    names += [SPEED] if any(item.name == "speed" for item in columns) else []
    found = summaries([run.pk for run in runs], names) if names else {}
    places = positions([run.pk for run in runs if run.status == Status.QUEUED])
    if any(item.name == "progress" for item in columns):
        prefetch_related_objects(
            [run for run in runs if run.status == Status.RUNNING], Prefetch("attempts", PACES.all())
        )
    now = timezone.now()
    return [Seen(run, found.get(run.pk, {}), places.get(run.pk), now) for run in runs]
