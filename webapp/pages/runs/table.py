"""The runs table: which runs, in what order, and what their rows say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import F, QuerySet
from django.http import QueryDict
from django.utils import timezone

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project
from webapp.metrics.models import Series
from webapp.metrics.queries import Summary, summaries
from webapp.pages.runs.columns import KEY_METRICS, SPEED, Column, column
from webapp.pages.runs.describe import data_of, memory_of, method_of, model_of, remaining_s, trainable_of
from webapp.pages.templatetags import hone as text
from webapp.runs.models import Run
from webapp.runs.paging import Order, Slice, cut
from webapp.runs.queries import positions
from webapp.runs.states import ACTIVE, FINAL, Status
from webapp.runs.tables import MOST_CHARACTERS, matching

PAGE_ROWS = 50
COUNTED = 1000  # runs of a filter that are counted: each further one costs, and the number says no more
TELLING_RUNS = 300
Metrics = Mapping[str, Summary]
TEXTS = ("q", "status", "kind", "tag", "sort")
GROUPS = {"active": ACTIVE, "ended": FINAL}


@dataclass(frozen=True)
class Query:
    """What is asked of the table. It is its address: `url_query` gives it back."""

    q: str = ""
    status: str = ""
    kind: str = ""
    tag: str = ""
    sort: str = ""
    columns: tuple[str, ...] = ()
    rows: int = PAGE_ROWS
    after: str = ""
    before: str = ""

    @classmethod
    def of(cls, data: QueryDict) -> Query:
        columns = tuple(dict.fromkeys(name for name in data.get("columns", "").split(",") if name))
        rows = data.get("rows", "")
        return cls(
            **{name: _text(data, name) for name in TEXTS},
            columns=columns[:40],
            rows=max(10, min(int(rows), 200)) if rows.isdecimal() and len(rows) < 9 else PAGE_ROWS,
            after=data.get("after", "")[:2000],
            before=data.get("before", "")[:2000],
        )

    def url_query(self, **changes: Any) -> str:
        """The address's query with some of it changed, from the first page on; what is empty is left out."""
        asked = replace(self, **{"after": "", "before": "", **changes})
        fields = {name: getattr(asked, name) for name in TEXTS}
        fields["columns"] = ",".join(asked.columns)
        fields |= {"rows": asked.rows if asked.rows != PAGE_ROWS else "", "after": asked.after, "before": asked.before}
        query = urlencode({name: value for name, value in fields.items() if value})
        return f"?{query}" if query else "?"

    def chosen(self, project: Project) -> str:
        """Which runs these are, as the query of an address that holds runs of many projects."""
        fields = {"project": project.slug, **{name: getattr(self, name) for name in TEXTS if name != "sort"}}
        return urlencode({name: value for name, value in fields.items() if value})

    @property
    def is_filtered(self) -> bool:
        return bool(self.q or self.status or self.kind or self.tag)


def _text(data: QueryDict, name: str) -> str:
    """Cut one character above what a query may have, so that one that is too long is refused, not misread."""
    return data.get(name, "").replace("\x00", "").strip()[: MOST_CHARACTERS + 1 if name == "q" else 250]


@dataclass(frozen=True)
class Head:
    """A column's head: `url` sorts by it, the other way round when it is sorted by already."""

    column: Column
    url: str
    direction: str  # "ascending", "descending" or ""


@dataclass(frozen=True)
class Cell:
    column: Column
    text: str
    is_dim: bool = False


@dataclass(frozen=True)
class Row:
    run: Run
    colour: int
    cells: Sequence[Cell]
    eta_s: float | None


class Count(NamedTuple):
    """How many runs there are; `is_more` when they were not counted to the end."""

    number: int
    is_more: bool

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.is_more else ''}"


@dataclass(frozen=True)
class Table:
    query: Query
    heads: Sequence[Head]
    rows: Sequence[Row]
    found: Count
    total: int
    next: str | None
    previous: str | None

    @property
    def is_live(self) -> bool:
        return any(row.run.status in ACTIVE or row.run.status == Status.QUEUED for row in self.rows)

    @property
    def next_url(self) -> str:
        return self.query.url_query(after=self.next) if self.next else ""

    @property
    def previous_url(self) -> str:
        return self.query.url_query(before=self.previous) if self.previous else ""

    @property
    def range_text(self) -> str:
        return f"{len(self.rows):,} of {self.found}"


def runs_of(project: Project) -> QuerySet[Run]:
    return Run.objects.filter(project=project, deleted_at=None)


def newest(project: Project) -> list[int]:
    """The runs that tell what the menus offer: of 100,000 runs, all of them would take seconds."""
    return list(runs_of(project).order_by("-id").values_list("pk", flat=True)[:TELLING_RUNS])


def metric_names(project: Project) -> list[str]:
    """Every metric that one of the project's newest runs has logged, by name."""
    names = Series.objects.filter(run__in=newest(project)).values_list("name", flat=True)
    return sorted(names.distinct())


def key_metrics(project: Project) -> list[str]:
    """Which of the key metrics one of the newest runs has logged."""
    series = Series.objects.filter(name__in=KEY_METRICS, run__in=newest(project))
    return list(series.values_list("name", flat=True).distinct())


def tags_of(project: Project) -> list[str]:
    """Every tag of the project's newest runs, by name."""
    tags = Run.objects.filter(pk__in=newest(project)).exclude(tags=[]).values_list("tags", flat=True).distinct()
    return sorted({tag for some in tags for tag in some})


def kinds_of(project: Project) -> list[str]:
    return sorted(Run.objects.filter(pk__in=newest(project)).values_list("kind", flat=True).distinct())


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


def table(project: Project, query: Query) -> Table:
    """The page of the table that is asked for; the first for a cursor of another sorting. Raises BadQuery.

    `query.columns` must not be empty.
    """
    runs = filtered(runs_of(project), query)
    found = _slice(runs, query)
    query = replace(query, after="", before="") if found.previous is None else query
    columns = [column(name) for name in query.columns]
    is_all = found.next is None and found.previous is None
    count = Count(len(found.items), False) if is_all else counted(runs)
    total = runs_of(project).count() if query.is_filtered or count.is_more else count.number
    rows = _rows(found.items, columns)
    return Table(query, _heads(query, columns), rows, count, total, found.next, found.previous)


def counted(runs: QuerySet[Run]) -> Count:
    number = runs.order_by()[: COUNTED + 1].count()
    return Count(min(number, COUNTED), number > COUNTED)


def _slice(runs: QuerySet[Run], query: Query) -> Slice:
    sort, order = order_of(query.sort)
    chosen = runs.select_related("created_by").prefetch_related("attempts")
    try:
        return cut(chosen, order, sort, query.rows, query.after, query.before)
    except Invalid:
        return cut(chosen, order, sort, query.rows)


def _heads(query: Query, columns: Sequence[Column]) -> list[Head]:
    return [_head(query, item) for item in (column("name"), *columns)]


def _head(query: Query, item: Column) -> Head:
    if item.order is None:
        return Head(item, "", "")
    now = {item.name: "ascending", f"-{item.name}": "descending"}.get(query.sort, "")
    by = f"-{item.name}" if now == "ascending" else item.name
    return Head(item, query.url_query(sort=by), now)


def _rows(runs: Sequence[Run], columns: Sequence[Column]) -> list[Row]:
    names = [item.metric[0] for item in columns if item.metric]
    names += [SPEED] if any(item.name == "speed" for item in columns) else []
    found = summaries([run.pk for run in runs], names) if names else {}
    places = positions([run.pk for run in runs if run.status == Status.QUEUED])
    now = timezone.now()
    return [_row(run, columns, found.get(run.pk, {}), places.get(run.pk), now) for run in runs]


def _row(run: Run, columns: Sequence[Column], metrics: Metrics, place: int | None, now: datetime) -> Row:
    cells = [_cell(run, item, metrics, place) for item in columns]
    return Row(run, run.pk - 1, cells, remaining_s(run, now))


def _cell(run: Run, item: Column, metrics: Metrics, place: int | None) -> Cell:
    if item.metric is not None:
        return Cell(item, text.metric(value_of(metrics, *item.metric)))
    if item.param:
        return Cell(item, param_text(run.spec, item.param))
    if item.name == "speed":
        return Cell(item, text.si(metrics[SPEED].last) if SPEED in metrics else "")
    if item.name == "time":
        return Cell(item, _time(run, place), is_dim=True)
    return Cell(item, PLAIN[item.name](run) if item.name in PLAIN else "", is_dim=item.name == "created")


def value_of(metrics: Metrics, name: str, aggregate: str) -> float | None:
    if name not in metrics:
        return None
    field = {"min": "minimum", "max": "maximum"}.get(aggregate, aggregate)
    return getattr(metrics[name], field)  # type: ignore[no-any-return]


def param_text(spec: object, path: Sequence[str]) -> str:
    """What stands there, as the query language has it: of an object its `name`."""
    for key in path:
        if isinstance(spec, list) and key.isdecimal() and int(key) < len(spec):
            spec = spec[int(key)]
        else:
            spec = spec.get(key) if isinstance(spec, dict) else None
    found = spec.get("name", spec) if isinstance(spec, dict) else spec
    if found is None or isinstance(found, str):
        return found or ""
    return json.dumps(found)


def _time(run: Run, place: int | None) -> str:
    """How long it took so far; for what waits, its place in the queue."""
    if run.status == Status.QUEUED:
        return f"#{place}" if place else ""
    return text.duration(text.between(run.started_at, run.ended_at))


PLAIN: Mapping[str, Callable[[Run], str]] = {
    "kind": lambda run: run.kind,
    "method": method_of,
    "model": model_of,
    "data": data_of,
    "trainable": lambda run: text.percent(trainable_of(run)),
    "memory": lambda run: text.bytes_(memory_of(run)),
    "priority": lambda run: str(run.priority),
    "queue": lambda run: run.queue_id,
    "by": lambda run: run.created_by.username if run.created_by else "",
    "created": lambda run: text.ago(run.created_at),
}
