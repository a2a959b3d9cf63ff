"""Pages by a key, forth and back: a cursor is the key and the number of a row, so no page before it is read or shifted.

Runs without a value come last. Where values lie in another table (a metric of a run), those that have one and those
that lack one are two queries, so that the first can walk the other table's index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core import signing
from django.db.models import F, Field, JSONField, Q, QuerySet, Value
from django.db.models.expressions import BaseExpression, Combinable, OrderBy
from django.db.models.lookups import Exact, GreaterThan, LessThan
from django.utils.dateparse import parse_datetime

from webapp.accounts.errors import Invalid
from webapp.runs.models import Run

SALT = "webapp.runs.tables"
Runs = QuerySet[Run]


@dataclass(frozen=True)
class Order:
    """By an expression; or by `having(runs)`, which brings a `sort_key` that is never null, then `lacking(runs)`."""

    expression: BaseExpression | Combinable | None = None
    having: Callable[[Runs], Runs] | None = None
    lacking: Callable[[Runs], Runs] | None = None
    is_json: bool = False


class Slice(NamedTuple):
    """Some rows, and the cursors of what follows and of what goes before, None where nothing does."""

    items: Sequence[Run]
    next: str | None
    previous: str | None


class Place(NamedTuple):
    key: Any
    run_id: int


def cut(
    runs: Runs, order: Order, sort: str, limit: int, after: str = "", before: str = "", rows_of: Runs | None = None
) -> Slice:
    """The rows after one, or the last ones before one. `sort` names the order, `-` in front turns it round.

    `rows_of` has the rows that are shown, by their numbers: then 100,000 of them are sorted by key and number alone.
    """
    place = decoded(after or before, sort) if after or before else None
    descending, is_back = sort.startswith("-"), bool(before and not after)
    rows: list[Run] = []
    for part in _parts(runs, order, place, is_back):
        if len(rows) <= limit:
            sorted_ = _sorted(part, order, place, descending, is_back)[: limit + 1 - len(rows)]
            rows += sorted_ if rows_of is None else _read(sorted_, rows_of)
    more, rows = len(rows) > limit, rows[:limit]
    rows = rows[::-1] if is_back else rows
    following = more or is_back
    preceding = more if is_back else place is not None
    return Slice(
        rows,
        encoded(sort, rows[-1]) if rows and following else None,
        encoded(sort, rows[0]) if rows and preceding else None,
    )


class _Part(NamedTuple):
    runs: Runs
    starts_at_place: bool


def _parts(runs: Runs, order: Order, place: Place | None, is_back: bool) -> list[_Part]:
    """In the order in which they are read."""
    if order.having is None or order.lacking is None:
        return [_Part(runs.annotate(sort_key=order.expression), place is not None)]
    is_lacking = place is not None and place.key is None
    having = _Part(order.having(runs), place is not None and not is_lacking)
    lacking = _Part(order.lacking(runs).annotate(sort_key=Value(None, JSONField())), is_lacking)
    if is_back:
        return [lacking, having] if is_lacking else [having]
    return [lacking] if is_lacking else [having, lacking]


def _sorted(part: _Part, order: Order, place: Place | None, descending: bool, is_back: bool) -> Runs:
    runs, way_down = part.runs, descending != is_back
    is_never_null = order.having is not None or _is_never_null(runs, order.expression)
    if place is not None and part.starts_at_place:
        runs = runs.filter(_beyond(place, way_down, is_back, order.is_json, is_never_null))
    by = "-id" if way_down else "id"
    if is_never_null:  # an index is walked only in an order that says nothing of nulls
        return runs.order_by(OrderBy(F("sort_key"), descending=way_down), by)
    key = OrderBy(F("sort_key"), descending=way_down, nulls_first=is_back or None, nulls_last=not is_back or None)
    return runs.order_by(key, by)


def _read(sorted_: Runs, rows_of: Runs) -> list[Run]:
    """The rows in this order, each with its `sort_key`; one that is deleted meanwhile is left out."""
    keys: dict[int, Any] = dict(sorted_.values_list("pk", "sort_key"))  # type: ignore[misc]
    found = rows_of.in_bulk(list(keys))
    for number, run in found.items():
        run.sort_key = keys[number]  # type: ignore[attr-defined]
    return [found[number] for number in keys if number in found]


def _is_never_null(runs: Runs, expression: BaseExpression | Combinable | None) -> bool:
    name = str(getattr(expression, "name", "")) if isinstance(expression, F) else ""
    return bool(name) and "__" not in name and not _field(runs, name).null


def _field(runs: Runs, name: str) -> Field[Any, Any]:
    field = runs.model._meta.pk if name == "pk" else runs.model._meta.get_field(name)
    assert isinstance(field, Field)
    return field


def _beyond(place: Place, way_down: bool, is_back: bool, is_json: bool, is_never_null: bool) -> Q:
    """Rows on the way from the place; without a value they stand at the end, and at the start on the way back."""
    further_id = Q(id__lt=place.run_id) if way_down else Q(id__gt=place.run_id)
    if place.key is None:
        same = Q(sort_key__isnull=True) & further_id
        return same | Q(sort_key__isnull=False) if is_back else same
    key = Value(place.key, JSONField()) if is_json else place.key
    further = Q((LessThan if way_down else GreaterThan)(F("sort_key"), key))
    found = further | (Q(Exact(F("sort_key"), key)) & further_id)
    return found if is_back or is_never_null else found | Q(sort_key__isnull=True)


def encoded(sort: str, run: Run) -> str:
    key = run.sort_key  # type: ignore[attr-defined]
    told = {"at": key.isoformat()} if hasattr(key, "isoformat") else [key]
    return signing.dumps([sort, told, run.pk], salt=SALT)


def decoded(cursor: str, sort: str) -> Place:
    """Cursors are signed, so that what comes back has the column's type. Raises Invalid."""
    try:
        made_for, key, run_id = signing.loads(cursor, salt=SALT)
    except signing.BadSignature:
        raise Invalid.field("cursor", "cursor must be the `next` of an earlier page.") from None
    if made_for != sort:
        raise Invalid.field("cursor", f"cursor belongs to a list sorted by {made_for!r}, not {sort!r}.")
    return Place(parse_datetime(key["at"]) if isinstance(key, dict) else key[0], run_id)
