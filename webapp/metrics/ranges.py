"""Reading the points of a series, all or those of a range, whole or in small."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from webapp.metrics.chunks import binary_cursor
from webapp.metrics.points import Points, between, join

INT64 = np.iinfo(np.int64)


class Range(NamedTuple):
    """Of steps and of times at once, both ends included."""

    first_step: int = INT64.min
    last_step: int = INT64.max
    first_time: float = -np.inf
    last_time: float = np.inf

    def select(self, points: Points) -> Points:
        inside = (points.steps >= self.first_step) & (points.steps <= self.last_step)
        inside &= (points.times >= self.first_time) & (points.times <= self.last_time)
        return points.take(inside)


_OVERLAPS = """series_id = %(series)s AND last_step >= %(first_step)s AND first_step <= %(last_step)s
               AND last_time >= %(first_time)s AND first_time <= %(last_time)s"""
_COVERED = """first_step >= %(first_step)s AND last_step <= %(last_step)s
              AND first_time >= %(first_time)s AND last_time <= %(last_time)s"""


class Part(NamedTuple):
    """Consecutive points of a series, or a chunk in small that stands for `count` of them."""

    count: int  # type: ignore[assignment]  # shadows tuple.count
    points: Points


def read(series_id: int, within: Range, *, small: bool = False) -> list[Part]:
    """The parts of a range in order of steps; with `small`, chunks inside the range are read as their envelopes."""
    parameters = {"series": series_id, "small": small, **within._asdict()}
    with binary_cursor() as cursor:
        cursor.execute(_READ, parameters)
        return [_part(within, *fields) for fields in cursor]


def count(series_id: int, within: Range) -> int:
    """How many points the chunks of a range hold: those of the range and a few more at its ends."""
    with binary_cursor() as cursor:
        cursor.execute(
            f"SELECT coalesce(sum(count), 0)::bigint FROM metric_chunks WHERE {_OVERLAPS}",  # noqa: S608 - our own text
            {"series": series_id, **within._asdict()},
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def whole(series_ids: Sequence[int]) -> dict[int, Points]:
    """All points of each series, in order of steps."""
    parts: dict[int, list[Points]] = defaultdict(list)
    with binary_cursor() as cursor:
        cursor.execute(_WHOLE, [list(series_ids)])
        for series_id, *columns in cursor:
            parts[series_id].append(Points.unpack(*columns))
    return {series_id: join(chunks) for series_id, chunks in parts.items()}


def blocks(series_id: int, chunks: int = 32) -> Iterator[Points]:
    """All points in order of steps, a chunk at a time, reading so many at once.

    It holds no snapshot: chunks that are merged meanwhile cost no point and double none.
    """
    following = INT64.min
    while following <= INT64.max:
        with binary_cursor() as cursor:
            cursor.execute(_BLOCK, {"series": series_id, "following": following, "chunks": chunks})
            parts = [Points.unpack(*columns) for columns in cursor]
        if not parts:
            return
        for points in parts:
            fresh = between(points, following, None)
            if len(fresh.steps):
                yield fresh
        following = int(parts[-1].steps[-1]) + 1


def _part(within: Range, covered: bool, count: int, envelope: bytes | None, *columns: bytes) -> Part:
    if envelope is not None:
        return Part(count, Points.unpack_one(envelope))
    points = Points.unpack(*columns)
    if not covered:
        points = within.select(points)
    return Part(len(points.steps), points)


_READ = f"""
    SELECT covered, count, CASE WHEN in_small THEN envelope END, CASE WHEN NOT in_small THEN steps END,
           CASE WHEN NOT in_small THEN "values" END, CASE WHEN NOT in_small THEN times END
    FROM (SELECT *, {_COVERED} AS covered, {_COVERED} AND %(small)s AND envelope IS NOT NULL AS in_small
          FROM metric_chunks WHERE {_OVERLAPS}) AS chunk
    ORDER BY first_step"""  # noqa: S608 - our own text
_WHOLE = """
    SELECT series_id, steps, "values", times FROM metric_chunks
    WHERE series_id = ANY(%s) ORDER BY series_id, first_step"""
_BLOCK = """
    SELECT steps, "values", times FROM metric_chunks
    WHERE series_id = %(series)s AND last_step >= %(following)s AND first_step >= coalesce(
      (SELECT max(first_step) FROM metric_chunks WHERE series_id = %(series)s AND first_step <= %(following)s),
      %(following)s)
    ORDER BY first_step LIMIT %(chunks)s"""
