"""All runs of a table as a file. In memory are their numbers, and everything else of a few thousand at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet
from django.contrib.postgres.aggregates import BoolAnd
from django.db.models import F, QuerySet, TextField, Value
from django.db.models.expressions import OrderBy
from django.db.models.lookups import Exact

from webapp import spreadsheet
from webapp.metrics.export import Sink
from webapp.metrics.queries import Summary, summaries
from webapp.metrics.table.fields import Field, Kind, field
from webapp.runs.errors import Invalid
from webapp.runs.language.types import JsonType, json_key
from webapp.runs.models import Run
from webapp.runs.paging import Order

Format = Literal["csv", "parquet"]
MOST_RUNS = 100_000
PIECE_RUNS = 2000
ALWAYS = ("id", "name")  # the first columns of every file
TYPES = {
    Kind.TEXT: pa.string(), Kind.WHOLE: pa.int64(), Kind.NUMBER: pa.float64(), Kind.TIME: pa.timestamp("us", "UTC"),
    Kind.TAGS: pa.list_(pa.string()), Kind.JSON: pa.string(),
}  # fmt: skip
Rows = list[list[Any]]


def export(
    runs: QuerySet[Run],
    order: Order,
    sort: str,
    shown: Sequence[Field],
    format: Format,  # noqa: A002 - the API's word
) -> Iterator[bytes]:
    """A row for each run in its order: the number, the name and the columns that are shown.

    Which runs there are, and in which order, is read at once, so that each stands there once, whatever happens
    meanwhile; one that is deleted meanwhile is left out. `sort` is looked at for its `-` only. Metrics are numbers
    (nan, inf and -inf as such), times are in UTC, durations in seconds. A parameter is a number where each run that has
    it has a number, else a text. Raises Invalid before the first byte.
    """
    columns = [field(name) for name in ALWAYS] + [one for one in shown if one.name not in ALWAYS]
    numbers = in_order(runs, order, sort, MOST_RUNS + 1)
    if len(numbers) > MOST_RUNS:
        raise Invalid.field("q", f"A file holds at most {MOST_RUNS:,} runs, and more are like this: narrow the filter.")
    pieces = (rows(piece, columns) for piece in _pieces(numbers))
    if format == "csv":
        return _csv(columns, pieces)
    return _parquet(_typed(runs, columns), pieces)


def in_order(runs: QuerySet[Run], order: Order, sort: str, limit: int) -> list[int]:
    """The numbers of the runs as a table sorts them: those without a value last, those alike by their number."""
    descending = sort.startswith("-")
    by_number = "-pk" if descending else "pk"
    key = OrderBy(F("sort_key"), descending=descending, nulls_last=True)
    if order.having is None or order.lacking is None:
        return list(
            runs.annotate(sort_key=order.expression).order_by(key, by_number).values_list("pk", flat=True)[:limit]
        )
    found = list(order.having(runs).order_by(key, by_number).values_list("pk", flat=True)[:limit])
    return found + list(order.lacking(runs).order_by(by_number).values_list("pk", flat=True)[: limit - len(found)])


def rows(numbers: Sequence[int], columns: Sequence[Field]) -> Rows:
    """The values of these runs, in their order. Two statements."""
    told = {f"column_{place}": one.expression for place, one in enumerate(columns) if one.expression is not None}
    found = Run.objects.filter(pk__in=numbers, deleted_at=None).annotate(**told)
    plain = {number: dict(zip(told, values, strict=True)) for number, *values in found.values_list("pk", *told)}
    names = [one.metric[0] for one in columns if one.metric]
    measured = summaries(numbers, names) if names else {}
    return [
        [
            _value(one, plain[number].get(f"column_{place}"), measured.get(number, {}))
            for place, one in enumerate(columns)
        ]
        for number in numbers
        if number in plain
    ]


def _value(column: Field, value: Any, measured: dict[str, Summary]) -> Any:
    return column.finish(value) if column.metric is None else aggregate_of(measured.get(column.metric[0]), column)


def aggregate_of(summary: Summary | None, column: Field) -> float | None:
    if summary is None or column.metric is None:
        return None
    name = {"min": "minimum", "max": "maximum"}.get(column.metric[1], column.metric[1])
    return getattr(summary, name)  # type: ignore[no-any-return]


def _pieces(numbers: Iterable[int]) -> Iterator[list[int]]:
    waiting = iter(numbers)
    while piece := list(islice(waiting, PIECE_RUNS)):
        yield piece


def _csv(columns: Sequence[Field], pieces: Iterator[Rows]) -> Iterator[bytes]:
    yield spreadsheet.written([[one.name for one in columns]]).encode()
    for piece in pieces:
        yield spreadsheet.written([_spelled(value) for value in row] for row in piece).encode()


def _spelled(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return ", ".join(value) if isinstance(value, list) else value


def _parquet(columns: Sequence[Field], pieces: Iterator[Rows]) -> Iterator[bytes]:
    """A row group for each piece; the footer comes last."""
    schema = pa.schema([(one.name, TYPES[one.kind]) for one in columns])
    kept = [KEPT.get(one.kind, _as_is) for one in columns]
    sink = Sink()
    with pa.parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for piece in pieces:
            arrays = [
                pa.array([keep(row[place]) for row in piece], TYPES[one.kind])
                for place, (one, keep) in enumerate(zip(columns, kept, strict=True))
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            yield sink.take()
    yield sink.take()


def _as_is(value: Any) -> Any:
    return value


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


KEPT: dict[Kind, Callable[[Any], Any]] = {Kind.TEXT: _text, Kind.JSON: _text, Kind.NUMBER: _float}


def _typed(runs: QuerySet[Run], columns: Sequence[Field]) -> list[Field]:
    """Parameters that are numbers wherever they are there become columns of numbers. One statement."""
    asked = {
        f"is_{place}": BoolAnd(Exact(JsonType(json_key(one.expression)), Value("number", TextField())))
        for place, one in enumerate(columns)
        if one.kind is Kind.JSON and one.expression is not None
    }
    told = runs.order_by().aggregate(**asked) if asked else {}
    return [replace(one, kind=Kind.NUMBER) if told.get(f"is_{place}") else one for place, one in enumerate(columns)]
