"""What series of media a run has, told from the index alone however many items they hold.

The names are found by jumping from each to the next in the index; of each series only the last item is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import connection

NAMES = """
    WITH RECURSIVE names (name) AS (
      (SELECT name FROM media_items WHERE run_id = %(run)s ORDER BY name LIMIT 1)
      UNION ALL
      SELECT (SELECT name FROM media_items WHERE run_id = %(run)s AND name > names.name ORDER BY name LIMIT 1)
      FROM names WHERE names.name IS NOT NULL
    )"""
SERIES = """
    SELECT names.name, last.kind, last.step, last.id,
           (SELECT count(*) FROM media_items WHERE run_id = %(run)s AND name = names.name)
    FROM names, LATERAL (
      SELECT kind, step, id FROM media_items WHERE run_id = %(run)s AND name = names.name ORDER BY step DESC LIMIT 1
    ) AS last ORDER BY names.name"""


class Series(NamedTuple):
    name: str
    kind: str
    last_step: int
    last_id: int
    count: int  # type: ignore[assignment]  # shadows tuple.count


def names(run_id: int) -> list[str]:
    statement = f"{NAMES} SELECT name FROM names WHERE name IS NOT NULL"  # noqa: S608 - our own words
    return [name for (name,) in _rows(statement, run=run_id)]


def all_of(run_id: int) -> list[Series]:
    """By name. One query."""
    return [Series(*row) for row in _rows(NAMES + SERIES, run=run_id)]


def those_of(run_id: int, wanted: Iterable[str]) -> dict[str, Series]:
    """Of these names, the ones that are there. One query."""
    statement = f"WITH names (name) AS (SELECT unnest(%(names)s::text[])) {SERIES}"
    return {row[0]: Series(*row) for row in _rows(statement, run=run_id, names=sorted(set(wanted)))}


def _rows(statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
