"""How many runs a filter finds, as far as a page needs to know, and not at each of its requests.

Where they are few, their numbers are told too: an order by a metric or a parameter is a walk along its index, on which
runs that the filter finds may come by rarely. To sort those few takes less.
"""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

from django.contrib.postgres.fields import ArrayField
from django.db.models import BigIntegerField, BooleanField, F, Func, QuerySet, Value

from webapp.runs.language import is_indexed, is_of_metrics, is_query
from webapp.runs.models import Run
from webapp.runs.paging import Order

COUNTED = 1000  # runs of a filter that are counted: each further one costs, and the number says no more
SEARCHED = 20_000  # newest runs in which is counted what no index finds
REMEMBERED_S = 10.0
MOST_REMEMBERED = 1000

Filter = tuple[object, ...]  # what tells the runs of a filter apart from those of others


class Count(NamedTuple):
    """How many runs there are; `is_more` when they were not counted to the end."""

    number: int
    is_more: bool

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.is_more else ''}"


_counts: dict[Filter, tuple[float, Count]] = {}  # when it was counted, and the number, of those that are more


class Among(Func):
    """Whether a number is one of an array's: in so many parameters a thousand of them would take a while."""

    template = "(%(expressions)s))"
    arg_joiner = " = ANY("
    output_field = BooleanField()


class Narrowed(NamedTuple):
    """`number` is known where the runs are told by their numbers."""

    runs: QuerySet[Run]
    number: int | None


def narrowed(filter_: Filter, q: str, runs: QuerySet[Run], order: Order, more: bool) -> Narrowed:
    """The same runs, told by their numbers where they are few and sorted by what lies in another table.

    `more`: something else is asked for than `q`. What asks for metrics alone is found on the walk itself.
    """
    is_wanted = order.having is not None and is_quick(q) and (more or not is_of_metrics(q))
    numbers = _few(filter_, runs) if is_wanted else None
    if numbers is None:
        return Narrowed(runs, None)
    return Narrowed(Run.objects.filter(Among(F("pk"), Value(numbers, ArrayField(BigIntegerField())))), len(numbers))


def _few(filter_: Filter, runs: QuerySet[Run]) -> list[int] | None:
    """Their numbers; None where there are more than are counted, or were within the last ten seconds."""
    if _known(filter_) is not None:
        return None
    found = list(runs.order_by().values_list("pk", flat=True)[: COUNTED + 1])
    if len(found) <= COUNTED:
        return found
    _remember(filter_, Count(COUNTED, True))
    return None


def count(filter_: Filter, q: str, runs: QuerySet[Run], all_: QuerySet[Run]) -> Count:
    """Of the runs among all of a project; what no index finds is counted among the newest only.

    A number that is not counted to the end may be ten seconds old: the next page, or another order, counts no more.
    """
    known = _known(filter_)
    if known is not None:
        return known
    found = counted(runs) if is_quick(q) else _among_newest(runs, all_)
    if found.is_more:
        _remember(filter_, found)
    return found


def counted(runs: QuerySet[Run]) -> Count:
    number = runs.order_by()[: COUNTED + 1].count()
    return Count(min(number, COUNTED), number > COUNTED)


def is_quick(q: str) -> bool:
    """Whether an index finds what it asks for."""
    return not q or (is_query(q) and is_indexed(q))


def _known(filter_: Filter) -> Count | None:
    at, found = _counts.get(filter_, (0.0, None))
    return found if monotonic() - at < REMEMBERED_S else None


def _remember(filter_: Filter, found: Count) -> None:
    if len(_counts) >= MOST_REMEMBERED:
        _counts.clear()
    _counts[filter_] = (monotonic(), found)


def _among_newest(runs: QuerySet[Run], all_: QuerySet[Run]) -> Count:
    older = all_.order_by("-id").values_list("pk", flat=True)[SEARCHED : SEARCHED + 1]
    for oldest in older:
        return Count(counted(runs.filter(pk__gt=oldest)).number, True)
    return counted(runs)
