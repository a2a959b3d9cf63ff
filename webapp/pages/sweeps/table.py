"""The table of a project's sweeps: which, and what their rows say. Pages follow each other by the sweep's number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import QueryDict

from webapp.accounts.models import Project, User
from webapp.pages.sweeps.segments import Segment, segments_of
from webapp.sweeps import budget, tables, winners
from webapp.sweeps.models import Sweep
from webapp.sweeps.queries import counts_of
from webapp.sweeps.states import LIVE, OPEN, SweepStatus
from webapp.sweeps.winners import Best

PAGE_ROWS = 50
TEXTS = ("q", "status", "tag")
STATUSES = ["live", *SweepStatus.values, "over"]


@dataclass(frozen=True)
class Query:
    """What is asked of the table. It is its address. `before` and `after` are numbers of sweeps; at most one is set."""

    q: str = ""
    status: str = ""
    tag: str = ""
    before: int = 0
    after: int = 0

    @classmethod
    def of(cls, data: QueryDict) -> Query:
        texts = {name: data.get(name, "").replace("\x00", "").strip()[:250] for name in TEXTS}
        texts["status"] = texts["status"] if texts["status"] in STATUSES else ""
        before, after = (_number(data.get(name, "")) for name in ("before", "after"))
        return cls(**texts, before=before, after=0 if before else after)

    def url_query(self, **changes: Any) -> str:
        asked = replace(self, **{"before": 0, "after": 0, **changes})
        return f"?{urlencode({name: value for name, value in vars(asked).items() if value})}"

    @property
    def is_filtered(self) -> bool:
        return bool(self.q or self.status or self.tag)


class Row(NamedTuple):
    sweep: Sweep
    done: int
    limit: int
    segments: list[Segment]
    best: Best | None
    metric: str
    sampler: str
    gpu_hours: float
    budget_hours: float | None


@dataclass(frozen=True)
class Table:
    query: Query
    rows: Sequence[Row]
    found: int
    total: int
    has_newer: bool
    has_older: bool

    @property
    def is_live(self) -> bool:
        return any(row.sweep.status in LIVE for row in self.rows)

    @property
    def next_url(self) -> str:
        return self.query.url_query(before=self.rows[-1].sweep.pk) if self.has_older else ""

    @property
    def previous_url(self) -> str:
        return self.query.url_query(after=self.rows[0].sweep.pk) if self.has_newer else ""

    @property
    def range_text(self) -> str:
        return f"{len(self.rows):,} of {self.found:,}"


def sweeps_of(project: Project) -> QuerySet[Sweep]:
    return Sweep.objects.filter(project=project, deleted_at=None)


def tags_of(project: Project) -> list[str]:
    tags = sweeps_of(project).exclude(tags=[]).values_list("tags", flat=True).distinct()
    return sorted({tag for some in tags for tag in some})


def table(user: User, project: Project, query: Query) -> Table:
    """The page that is asked for, newest first."""
    sweeps = tables.table(user, project, q=query.q, status=query.status)
    sweeps = sweeps.filter(tags__contains=[query.tag]) if query.tag else sweeps
    found = sweeps.count()
    page, more = _page(sweeps, query)
    has_newer = more if query.after else bool(query.before and page)
    has_older = bool(query.after and page) if query.after else more
    total = sweeps_of(project).count() if query.is_filtered else found
    return Table(query, _rows(page), found, total, has_newer, has_older)


def _page(sweeps: QuerySet[Sweep], query: Query) -> tuple[list[Sweep], bool]:
    """A page's sweeps, and whether more lie beyond it in the direction in which one reads."""
    if query.after:
        page = list(sweeps.filter(pk__gt=query.after).order_by("id")[: PAGE_ROWS + 1])
        return list(reversed(page[:PAGE_ROWS])), len(page) > PAGE_ROWS
    sweeps = sweeps.filter(pk__lt=query.before) if query.before else sweeps
    page = list(sweeps.order_by("-id")[: PAGE_ROWS + 1])
    return page[:PAGE_ROWS], len(page) > PAGE_ROWS


def _rows(sweeps: Sequence[Sweep]) -> list[Row]:
    counts = counts_of([sweep.pk for sweep in sweeps])
    bests, spent = winners.best_of(sweeps), budget.spent_of(sweeps)
    return [_row(sweep, counts[sweep.pk], bests.get(sweep.pk), spent[sweep.pk].gpu_hours) for sweep in sweeps]


def _row(sweep: Sweep, counts: dict[str, int], best: Best | None, hours: float) -> Row:
    definition = sweep.definition
    return Row(
        sweep=sweep,
        done=counts["total"] - sum(counts[status] for status in OPEN),
        limit=max(definition["trials"], counts["total"]),
        segments=segments_of(counts, definition["trials"]),
        best=best,
        metric=definition["objective"][0]["metric"],
        sampler=definition["search"]["sampler"]["name"],
        gpu_hours=hours,
        budget_hours=definition["budget"].get("gpu_hours"),
    )


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 18 else 0
