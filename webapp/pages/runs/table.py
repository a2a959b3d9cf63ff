"""The runs table: which runs, in what order, and what their rows say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import F, QuerySet
from django.http import QueryDict
from django.utils import timezone

from webapp.accounts.models import Project
from webapp.metrics.models import Series
from webapp.metrics.queries import Summary, summaries
from webapp.pages.runs.columns import KEY_METRICS, SPEED, Column, column
from webapp.pages.runs.describe import data_of, memory_of, method_of, model_of, remaining_s, trainable_of
from webapp.pages.templatetags import hone as text
from webapp.runs.models import Run
from webapp.runs.queries import positions
from webapp.runs.states import ACTIVE, FINAL, Status
from webapp.runs.tables import MOST_CHARACTERS, matching

PAGE_ROWS = 50
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
    page: int = 1

    @classmethod
    def of(cls, data: QueryDict) -> Query:
        columns = tuple(dict.fromkeys(name for name in data.get("columns", "").split(",") if name))
        page = data.get("page", "")
        return cls(
            **{name: _text(data, name) for name in TEXTS},
            columns=columns[:40],
            page=max(1, min(int(page), 1_000_000)) if page.isdecimal() else 1,
        )

    def url_query(self, **changes: Any) -> str:
        """The address's query with some of it changed; what is empty is left out."""
        asked = replace(self, **changes)
        fields = {name: getattr(asked, name) for name in TEXTS}
        fields["columns"] = ",".join(asked.columns)
        fields["page"] = asked.page if asked.page > 1 else ""
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


@dataclass(frozen=True)
class Table:
    query: Query
    heads: Sequence[Head]
    rows: Sequence[Row]
    found: int
    total: int

    @property
    def is_live(self) -> bool:
        return any(row.run.status in ACTIVE or row.run.status == Status.QUEUED for row in self.rows)

    @property
    def pages(self) -> int:
        return max(1, -(-self.found // PAGE_ROWS))

    @property
    def next_url(self) -> str:
        return self.query.url_query(page=self.query.page + 1) if self.query.page < self.pages else ""

    @property
    def previous_url(self) -> str:
        return self.query.url_query(page=self.query.page - 1) if self.query.page > 1 else ""

    @property
    def range_text(self) -> str:
        first = (self.query.page - 1) * PAGE_ROWS + 1
        return f"{first:,}-{min(first + PAGE_ROWS - 1, self.found):,} of {self.found:,}"


def runs_of(project: Project) -> QuerySet[Run]:
    return Run.objects.filter(project=project, deleted_at=None)


def metric_names(project: Project) -> list[str]:
    """Every metric that a run of the project has logged, by name."""
    names = Series.objects.filter(run__project=project, run__deleted_at=None).values_list("name", flat=True)
    return sorted(names.distinct())


def key_metrics(project: Project) -> list[str]:
    """Which of the key metrics a run of the project has logged."""
    series = Series.objects.filter(name__in=KEY_METRICS, run__project=project, run__deleted_at=None)
    return list(series.values_list("name", flat=True).distinct())


def tags_of(project: Project) -> list[str]:
    """Every tag in use in the project, by name."""
    tags = runs_of(project).values_list("tags", flat=True).exclude(tags=[]).distinct()
    return sorted({tag for some in tags for tag in some})


def kinds_of(project: Project) -> list[str]:
    return sorted(runs_of(project).values_list("kind", flat=True).distinct())


def filtered(runs: QuerySet[Run], query: Query) -> QuerySet[Run]:
    """Those that the query or its words find, in this state, of this kind and tag. Raises BadQuery."""
    runs = matching(runs, query.q)
    if query.status:
        runs = runs.filter(status__in=GROUPS.get(query.status, [query.status]))
    if query.kind:
        runs = runs.filter(kind=query.kind)
    return runs.filter(tags__contains=[query.tag]) if query.tag else runs


def ordered(runs: QuerySet[Run], sort: str) -> QuerySet[Run]:
    """By a column, `-` before its name for descending; empty values come last either way. Newest first by default."""
    key = column(sort.removeprefix("-")).order if sort else None
    if key is None:
        return runs.order_by("-id")
    runs = runs.alias(key=key)
    by = F("key").desc(nulls_last=True) if sort.startswith("-") else F("key").asc(nulls_last=True)
    return runs.order_by(by, "-id")


def table(project: Project, query: Query) -> Table:
    """The page of the table that is asked for. `query.columns` must not be empty."""
    runs = filtered(runs_of(project), query)
    found = runs.count()
    query = replace(query, page=min(query.page, max(1, -(-found // PAGE_ROWS))))
    first = (query.page - 1) * PAGE_ROWS
    chosen = ordered(runs, query.sort).select_related("created_by").prefetch_related("attempts")
    page = list(chosen[first : first + PAGE_ROWS])
    columns = [column(name) for name in query.columns]
    total = found if not query.is_filtered else runs_of(project).count()
    return Table(query, _heads(query, columns), _rows(page, columns), found, total)


def _heads(query: Query, columns: Sequence[Column]) -> list[Head]:
    return [_head(query, item) for item in (column("name"), *columns)]


def _head(query: Query, item: Column) -> Head:
    if item.order is None:
        return Head(item, "", "")
    now = {item.name: "ascending", f"-{item.name}": "descending"}.get(query.sort, "")
    by = f"-{item.name}" if now == "ascending" else item.name
    return Head(item, query.url_query(sort=by, page=1), now)


def _rows(runs: Sequence[Run], columns: Sequence[Column]) -> list[Row]:
    names = [item.name for item in columns if item.is_metric]
    names += [SPEED] if any(item.name == "speed" for item in columns) else []
    found = summaries([run.pk for run in runs], names) if names else {}
    places = positions([run.pk for run in runs if run.status == Status.QUEUED])
    now = timezone.now()
    return [_row(run, columns, found.get(run.pk, {}), places.get(run.pk), now) for run in runs]


def _row(run: Run, columns: Sequence[Column], metrics: Metrics, place: int | None, now: datetime) -> Row:
    cells = [_cell(run, item, metrics, place) for item in columns]
    return Row(run, run.pk - 1, cells, remaining_s(run, now))


def _cell(run: Run, item: Column, metrics: Metrics, place: int | None) -> Cell:
    if item.is_metric:
        return Cell(item, text.metric(metrics[item.name].last) if item.name in metrics else "")
    if item.name == "speed":
        return Cell(item, text.si(metrics[SPEED].last) if SPEED in metrics else "")
    if item.name == "time":
        return Cell(item, _time(run, place), is_dim=True)
    return Cell(item, PLAIN[item.name](run) if item.name in PLAIN else "", is_dim=item.name == "created")


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
