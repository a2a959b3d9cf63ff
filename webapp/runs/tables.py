"""A table of runs: filtered, sorted, and read page by page with a cursor that no new run shifts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.db.models import Exists, F, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.expressions import BaseExpression, Combinable
from django.db.models.functions import Upper

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, User
from webapp.runs import language, paging, queries
from webapp.runs.language import MOST_CHARACTERS
from webapp.runs.language.columns import GROUPS
from webapp.runs.models import Run, RunWords
from webapp.runs.paging import Order, Slice
from webapp.runs.states import Status

__all__ = ["GROUPS", "MOST", "MOST_CHARACTERS", "SORTS", "WORDS", "Page", "matching", "order_of", "page", "slice_of",
           "table"]  # fmt: skip

SORTS = ("id", "name", "kind", "status", "priority", "step", "created_at", "queued_at", "started_at", "ended_at")
MOST = 500
WORDS = (
    "Each word must be in the name, the tags or the method, or be the kind or the id. Or a query: "
    "metrics.\"eval/loss\" < 2 and params.method = 'lora' and tags = 'night'."
)


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
    if not words:
        return runs
    return runs.filter(Exists(RunWords.objects.filter(*map(_matches, words), run=OuterRef("pk"))))


def page(
    runs: QuerySet[Run],
    *,
    sort: str = "-id",
    cursor: str = "",
    limit: int = 50,
    expression: BaseExpression | Combinable | None = None,
    rows_of: QuerySet[Run] | None = None,
) -> Page:
    """One page. `sort` is a column of SORTS or of the language, with `-` for descending; empty values come last.

    `expression` sorts by something else; then only the `-` of `sort` is looked at. `rows_of`: see paging.cut. Raises
    Invalid for an unknown column, a bad cursor and a limit outside 1 to 500.
    """
    found = slice_of(runs, sort=sort, after=cursor, limit=limit, expression=expression, rows_of=rows_of)
    return Page(found.items, found.next)


def slice_of(
    runs: QuerySet[Run],
    *,
    sort: str = "-id",
    after: str = "",
    before: str = "",
    limit: int = 50,
    expression: BaseExpression | Combinable | None = None,
    rows_of: QuerySet[Run] | None = None,
) -> Slice:
    """Like `page`, also backwards: the last rows before the cursor `before`."""
    if not 1 <= limit <= MOST:
        raise Invalid.field("limit", f"limit must lie between 1 and {MOST}, not {limit}.")
    order = Order(expression) if expression is not None else order_of(sort)
    return paging.cut(runs, order, sort, limit, after, before, rows_of)


def order_of(sort: str) -> Order:
    """Raises Invalid."""
    name = sort.removeprefix("-")
    if name in SORTS:
        return Order(F(name))
    try:
        return language.order_of(name)
    except Invalid:
        known = f"{', '.join(SORTS)}, or a column of a query such as metrics.loss.min or params.optimizer.lr"
        raise Invalid.field("sort", f"sort must be one of {known}, with - for descending, not {sort!r}.") from None


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
    large = Upper(Value(word, TextField()))
    matches = Q(words__contains=large) | Q(kind=large)
    number = word.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 19:
        matches |= Q(run=int(number))
    return matches
