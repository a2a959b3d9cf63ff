"""A table of runs: filtered, sorted, and read page by page with a cursor that no new run shifts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.core import signing
from django.db.models import F, Func, Q, QuerySet, TextField, Value
from django.db.models.expressions import BaseExpression, OrderBy
from django.utils.dateparse import parse_datetime

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, User
from webapp.runs import language, queries
from webapp.runs.language import MOST_CHARACTERS
from webapp.runs.language.columns import GROUPS
from webapp.runs.models import Run
from webapp.runs.states import Status

__all__ = ["GROUPS", "MOST", "MOST_CHARACTERS", "SORTS", "WORDS", "Page", "matching", "page", "table"]

SORTS = ("id", "name", "kind", "status", "priority", "step", "created_at", "queued_at", "started_at", "ended_at")
MOST = 500
WORDS = (
    "Each word must be in the name, the tags or the method, or be the kind or the id. Or a query: "
    "metrics.\"eval/loss\" < 2 and params.method = 'lora' and tags = 'night'."
)
SALT = "webapp.runs.tables"


class Page(NamedTuple):
    """Some rows and the cursor of the next page, None on the last."""

    items: Sequence[Run]
    next: str | None


def table(
    user: User,
    project: Project | None = None,
    *,
    q: str = "",
    status: str = "",
    tag: str = "",
    kind: str = "",
    queue: str = "",
    runs: QuerySet[Run] | None = None,
) -> QuerySet[Run]:
    """The runs that match, unsorted. Raises Invalid for an unknown status and for a wrong query.

    `q`: a query (webapp/runs/language says which text is one), or plain words, each of which must be in the name, the
    tags or the method, or be the kind or the id (`#12` or `12`). `status`: statuses and the groups active, waiting,
    final (also called ended), separated by commas. `tag`: tags that it must all have, separated by commas.
    `runs`: a narrower or annotated query to start from (the metric layers above bring one to sort by a metric).
    """
    found = queries.visible(user) if runs is None else runs
    if project is not None:
        found = found.filter(project=project)
    if status:
        found = found.filter(status__in=_statuses(status))
    if tags := _words(tag):
        found = found.filter(tags__contains=tags)
    if kind:
        found = found.filter(kind__in=_words(kind))
    if queue:
        found = found.filter(queue_id=queue)
    return matching(found, q)


def matching(runs: QuerySet[Run], q: str) -> QuerySet[Run]:
    """Those of the runs that `q` finds, see `table`. Raises BadQuery, which is Invalid and points at the character."""
    if language.is_query(q):
        return runs.filter(language.condition(q))
    words = q.replace("\x00", "").encode(errors="ignore").decode().split()[:10]
    if words:
        tags_text = Func(F("tags"), Value(" "), function="array_to_string", output_field=TextField())
        runs = runs.alias(tags_text=tags_text)
    for word in words:
        runs = runs.filter(_matches(word))
    return runs


def page(
    runs: QuerySet[Run],
    *,
    sort: str = "-id",
    cursor: str = "",
    limit: int = 50,
    expression: BaseExpression | F | None = None,
) -> Page:
    """One page. `sort` is a column of SORTS, with `-` for descending; empty values come last either way.

    `expression` sorts by something else (a metric's last value); then only the `-` of `sort` is looked at. Raises
    Invalid for an unknown column, a bad cursor and a limit outside 1 to 500.
    """
    if not 1 <= limit <= MOST:
        raise Invalid.field("limit", f"limit must lie between 1 and {MOST}, not {limit}.")
    descending, name = sort.startswith("-"), sort.removeprefix("-")
    if expression is None and name not in SORTS:
        raise Invalid.field("sort", f"sort must be one of {', '.join(SORTS)}, with - for descending, not {sort!r}.")
    sortable = runs.annotate(sort_key=F(name) if expression is None else expression)
    if cursor:
        sortable = sortable.filter(_after(*_decoded(cursor, sort), descending))
    order = OrderBy(F("sort_key"), descending=descending, nulls_last=True)
    rows = list(sortable.order_by(order, "-id" if descending else "id")[: limit + 1])
    more = len(rows) > limit
    return Page(rows[:limit], _encoded(sort, rows[limit - 1]) if more else None)


def _statuses(text: str) -> set[str]:
    chosen: set[str] = set()
    for word in _words(text):
        if word not in GROUPS and word not in Status.values:
            known = ", ".join([*Status.values, *GROUPS])
            raise Invalid.field("status", f"status must be one of {known}, not {word!r}.")
        chosen |= GROUPS.get(word, {Status(word)} if word in Status.values else set())
    return chosen


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.replace("\x00", "").split(",") if word.strip()]


def _matches(word: str) -> Q:
    matches = Q(name__icontains=word) | Q(kind__iexact=word) | Q(tags_text__icontains=word)
    matches |= Q(spec__method__name__icontains=word)
    number = word.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 19:
        matches |= Q(id=int(number))
    return matches


def _after(key: Any, run_id: int, descending: bool) -> Q:
    """Rows after the cursor's in (key, id) order, nulls last."""
    later_id = Q(id__lt=run_id) if descending else Q(id__gt=run_id)
    if key is None:
        return Q(sort_key__isnull=True) & later_id
    later_key = Q(sort_key__lt=key) if descending else Q(sort_key__gt=key)
    return later_key | Q(sort_key__isnull=True) | (Q(sort_key=key) & later_id)


def _encoded(sort: str, run: Run) -> str:
    key = run.sort_key  # type: ignore[attr-defined]
    told = key.isoformat() if hasattr(key, "isoformat") else key
    return signing.dumps([sort, told, run.pk], salt=SALT)


def _decoded(cursor: str, sort: str) -> tuple[Any, int]:
    """Cursors are signed, so that what comes back has the column's type."""
    try:
        made_for, key, run_id = signing.loads(cursor, salt=SALT)
    except signing.BadSignature:
        raise Invalid.field("cursor", "cursor must be the `next` of an earlier page.") from None
    if made_for != sort:
        raise Invalid.field("cursor", f"cursor belongs to a list sorted by {made_for!r}, not {sort!r}.")
    if sort.endswith("_at") and isinstance(key, str):
        key = parse_datetime(key)
    return key, run_id
