"""Runs in groups, with the mean and the spread of what each group measured. One statement, whatever the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from webapp.metrics.querying import LAST
from webapp.metrics.table.fields import Field
from webapp.metrics.table.keys import Key, KeyValue, query_of
from webapp.runs.errors import Invalid
from webapp.runs.models import Run

MOST_GROUPS = 500
MOST_METRICS = 20
LARGEST = 1e100  # beyond it the database's sum of squares would overflow: such a value counts as not finite
STATISTICS = ("mean", "std", "min", "max")
SQL = {"mean": "avg", "std": "stddev_samp", "min": "min", "max": "max"}
AGGREGATES = {
    LAST: "{0}.last", "min": "{0}.minimum", "max": "{0}.maximum", "mean": "{0}.total / nullif({0}.finite_count, 0)",
    "first": "{0}.first", "count": "nullif({0}.count, 0)::float8",
}  # fmt: skip


class Statistics(NamedTuple):
    """Over the runs of a group in which the metric's aggregate is finite; `std` (n - 1) is None of fewer than two."""

    runs: int
    mean: float | None
    std: float | None
    min: float | None
    max: float | None


class Group(NamedTuple):
    """`query` finds its runs again, None where no query can. `metrics`: in the order of the fields asked for."""

    values: tuple[KeyValue, ...]
    count: int  # type: ignore[assignment]  # shadows tuple.count
    query: str | None
    metrics: tuple[Statistics, ...]


class Groups(NamedTuple):
    """`is_more` when there are more than MOST_GROUPS: then these are the first of them."""

    keys: list[Key]
    metrics: list[Field]
    items: list[Group]
    is_more: bool
    sort: str


def grouped(runs: QuerySet[Run], keys: Sequence[Key], shown: Sequence[Field], sort: str = "", q: str = "") -> Groups:
    """The groups of the runs, a run of several tags being in the group of each. `q` is the query that found the runs.

    `sort`: count, key, or `mean:<column>` (std, min, max) of one of the metrics shown, `-` in front turns it round;
    the largest groups first when it is empty. What has no value comes last. Raises Invalid.
    """
    metrics = [one for one in shown if one.metric][:MOST_METRICS]
    order = _order(sort or "-count", len(keys), metrics)
    try:
        found, told = _found(runs, keys)
    except EmptyResultSet:
        return Groups([*keys], metrics, [], False, sort or "-count")
    statement, parameters = _statement(found, keys, metrics, order)
    with connection.cursor() as cursor:
        cursor.execute(statement, [*told, *parameters])
        rows = cursor.fetchall()
    items = [_group(row, keys, q) for row in rows[:MOST_GROUPS]]
    return Groups([*keys], metrics, items, len(rows) > MOST_GROUPS, sort or "-count")


def _found(runs: QuerySet[Run], keys: Sequence[Key]) -> tuple[str, Sequence[Any]]:
    told = {f"value_{place}": key.expression for place, key in enumerate(keys)}
    return runs.order_by().annotate(**told).values_list("pk", *told).query.sql_with_params()


def _statement(found: str, keys: Sequence[Key], metrics: Sequence[Field], order: str) -> tuple[str, list[str]]:
    """All that is put into the text is written in this file; names come as parameters."""
    values = ", ".join(f"value_{place}" for place in range(len(keys)))
    listed = ", ".join(f"key_{place}, is_number_{place}" for place in range(len(keys)))
    read = ", ".join(
        f"{key.text(f'value_{place}')} AS key_{place}, {key.is_number(f'value_{place}')} AS is_number_{place}"
        for place, key in enumerate(keys)
    )
    each = "".join(f", {_finite(one, f's{place}')} AS v{place}" for place, one in enumerate(metrics))
    joins = "".join(
        f" LEFT JOIN series AS s{place} ON s{place}.run_id = found.run_id AND s{place}.name = %s"
        for place in range(len(metrics))
    )
    told = "".join(
        f", count(v{place}) AS count_{place}"
        + "".join(f", {SQL[name]}(v{place}) AS {name}_{place}" for name in STATISTICS)
        for place in range(len(metrics))
    )
    statement = f"""
        WITH found (run_id, {values}) AS MATERIALIZED ({found}),
             valued AS (SELECT {read}{each} FROM found{joins}),
             grouped AS (SELECT {listed}, count(*) AS runs{told} FROM valued GROUP BY {listed})
        SELECT * FROM grouped ORDER BY {order} LIMIT {MOST_GROUPS + 1}
    """  # noqa: S608 - nothing of it is anybody's text
    return statement, [one.metric[0] for one in metrics if one.metric]


def _finite(one: Field, series: str) -> str:
    assert one.metric is not None
    value = AGGREGATES[one.metric[1]].format(series)
    return f"CASE WHEN abs({value}) <= {LARGEST} THEN {value} END"


def _order(sort: str, keys: int, metrics: Sequence[Field]) -> str:
    """Raises Invalid."""
    direction = "DESC" if sort.startswith("-") else "ASC"
    by_key = [_by_key(place, direction if sort.removeprefix("-") == "key" else "ASC") for place in range(keys)]
    name = sort.removeprefix("-")
    if name == "key":
        return ", ".join(by_key)
    return ", ".join([f"{_sorted_by(name, sort, metrics)} {direction} NULLS LAST", *by_key])


def _by_key(place: int, direction: str) -> str:
    """Texts as texts, then numbers as numbers, then what has none."""
    number = f"CASE WHEN is_number_{place} THEN key_{place}::numeric END"
    return (
        f'key_{place} IS NULL, is_number_{place} {direction}, {number} {direction}, key_{place} COLLATE "C" {direction}'
    )


def _sorted_by(name: str, sort: str, metrics: Sequence[Field]) -> str:
    if name == "count":
        return "runs"
    statistic, _, column = name.partition(":")
    places = [place for place, one in enumerate(metrics) if one.name == column]
    if statistic not in STATISTICS or not places:
        known = "count, key, or mean, std, min, max of a metric that is shown, such as mean:eval/loss"
        raise Invalid.field("sort", f"sort must be {known}, with - for descending, not {sort[:80]!r}.")
    return f"{statistic}_{places[0]}"


def _group(row: Sequence[Any], keys: Sequence[Key], q: str) -> Group:
    ends = 2 * len(keys)
    values = tuple(KeyValue(row[place], bool(row[place + 1])) for place in range(0, ends, 2))
    width = 1 + len(STATISTICS)
    told = [Statistics(*row[start : start + width]) for start in range(ends + 1, len(row), width)]
    return Group(values, row[ends], query_of(keys, values, q), tuple(told))
