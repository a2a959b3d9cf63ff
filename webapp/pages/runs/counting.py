"""How many runs a table has: as many as a page needs to know, and not at each of its requests."""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

from django.db.models import QuerySet

from webapp.pages.queries import REMEMBERED_S
from webapp.runs.language import is_indexed, is_query
from webapp.runs.models import Run

COUNTED = 1000  # runs of a filter that are counted: each further one costs, and the number says no more
SEARCHED = 20_000  # newest runs in which is counted what no index finds
MOST_REMEMBERED = 1000

Filter = tuple[object, ...]


class Count(NamedTuple):
    """How many runs there are; `is_more` when they were not counted to the end."""

    number: int
    is_more: bool

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.is_more else ''}"


_counts: dict[Filter, tuple[float, Count]] = {}  # when it was counted, and the number


def count(filter_: Filter, q: str, runs: QuerySet[Run], all_: QuerySet[Run]) -> Count:
    """Of the runs among all of a project. `filter_` is what tells them apart from those of other filters.

    What no index finds is counted among the newest runs only. A number that is not counted to the end may be ten
    seconds old: the next page, or another order, doesn't count again.
    """
    at, known = _counts.get(filter_, (0.0, Count(0, False)))
    if known.is_more and monotonic() - at < REMEMBERED_S:
        return known
    found = counted(runs) if not q or (is_query(q) and is_indexed(q)) else _among_newest(runs, all_)
    if len(_counts) >= MOST_REMEMBERED:
        _counts.clear()
    _counts[filter_] = (monotonic(), found)
    return found


def counted(runs: QuerySet[Run]) -> Count:
    number = runs.order_by()[: COUNTED + 1].count()
    return Count(min(number, COUNTED), number > COUNTED)


def _among_newest(runs: QuerySet[Run], all_: QuerySet[Run]) -> Count:
    older = all_.order_by("-id").values_list("pk", flat=True)[SEARCHED : SEARCHED + 1]
    for oldest in older:
        return Count(counted(runs.filter(pk__gt=oldest)).number, True)
    return counted(runs)
