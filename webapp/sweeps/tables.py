"""Tables of sweeps and trials: filtered, sorted, read page by page, each page at a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

from django.db.models import F, Func, Model, Q, QuerySet, TextField, Value
from django.db.models.expressions import BaseExpression

from webapp.accounts.errors import Invalid
from webapp.accounts.models import Project, User
from webapp.runs import tables as runs
from webapp.sweeps import queries, winners
from webapp.sweeps.models import Sweep
from webapp.sweeps.states import LIVE, OVER, SweepStatus

M = TypeVar("M", bound=Model)
GROUPS = {"live": LIVE, "over": OVER}
TRIAL_SORTS = ("number", "value")
MOST = runs.MOST


class Page(NamedTuple, Generic[M]):
    """Some rows and the cursor of the next page, None on the last."""

    items: Sequence[M]
    next: str | None


def table(user: User, project: Project | None = None, *, q: str = "", status: str = "") -> QuerySet[Sweep]:
    """The sweeps that match, unsorted. Raises Invalid for an unknown status.

    `q`: every word must be in the name or the tags, or be the id. `status`: statuses and the groups live and over,
    separated by commas.
    """
    found = queries.visible(user)
    if project is not None:
        found = found.filter(project=project)
    if status:
        found = found.filter(status__in=_statuses(status))
    words = q.replace("\x00", "").split()[:10]
    if words:
        tags_text = Func(F("tags"), Value(" "), function="array_to_string", output_field=TextField())
        found = found.alias(tags_text=tags_text)
    for word in words:
        found = found.filter(_matches(word))
    return found


def page(
    rows: QuerySet[M], *, sort: str = "-id", cursor: str = "", limit: int = 50, expression: BaseExpression | F
) -> Page[M]:
    """Like runs.tables.page, which looks at nothing of a run once it is given the expression to sort by."""
    found = runs.page(cast(Any, rows), sort=sort, cursor=cursor, limit=limit, expression=expression)
    return Page(cast(Sequence[M], found.items), found.next)


def trial_sort(sort: str) -> BaseExpression | F:
    """By `number`, or by `value`: that of the first objective. Raises Invalid for another word."""
    name = sort.removeprefix("-")
    if name not in TRIAL_SORTS:
        known = ", ".join(TRIAL_SORTS)
        raise Invalid.field("sort", f"sort must be one of {known}, with - for descending, not {sort!r}.")
    return winners.FIRST_VALUE if name == "value" else F(name)


def _statuses(text: str) -> set[str]:
    chosen: set[str] = set()
    for word in filter(None, (part.strip() for part in text.replace("\x00", "").split(","))):
        if word not in GROUPS and word not in SweepStatus.values:
            known = ", ".join([*SweepStatus.values, *GROUPS])
            raise Invalid.field("status", f"status must be one of {known}, not {word!r}.")
        chosen |= GROUPS.get(word, {SweepStatus(word)} if word in SweepStatus.values else set())
    return chosen


def _matches(word: str) -> Q:
    matches = Q(name__icontains=word) | Q(tags_text__icontains=word)
    number = word.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 19:
        matches |= Q(id=int(number))
    return matches
