"""Reading the points of a series, all or those of a range, whole or in small."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

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


_WANTED = """unnest(%(series)s::bigint[], %(first_step)s::bigint[], %(last_step)s::bigint[], %(first_time)s::float8[],
                   %(last_time)s::float8[]{more}) AS wanted (id, from_step, to_step, from_time, to_time{names})"""
_OVERLAPS = """series_id = wanted.id AND last_step >= from_step AND first_step <= to_step
               AND last_time >= from_time AND first_time <= to_time"""
_COVERED = "first_step >= from_step AND last_step <= to_step AND first_time >= from_time AND last_time <= to_time"


class Part(NamedTuple):
    """Consecutive points of a series, or a chunk in small that stands for `count` of them."""

    count: int  # type: ignore[assignment]  # shadows tuple.count
    points: Points


class Detail(IntEnum):
    """How chunks that lie inside a range are read."""

    WHOLE = 0
    ENVELOPE = 1
    OUTLINE = 2


def read(series_id: int, within: Range, detail: Detail = Detail.WHOLE) -> list[Part]:
    """The parts of a range in order of steps."""
    return read_all({series_id: within}, {series_id: detail}).get(series_id, [])


def read_all(wanted: Mapping[int, Range], details: Mapping[int, Detail]) -> dict[int, list[Part]]:
    """The parts of a range of each series, whole where no detail is named. One query."""
    found: dict[int, list[Part]] = defaultdict(list)
    parameters = {**_columns(wanted), "detail": [int(details.get(series_id, 0)) for series_id in wanted]}
    with binary_cursor() as cursor:
        cursor.execute(_READ, parameters)
        for series_id, *fields in cursor:
            found[series_id].append(_part(wanted[series_id], *fields))
    return found


def counts(wanted: Mapping[int, Range]) -> dict[int, int]:
    """How many points the chunks of each range hold: those of the range and a few more at its ends."""
    with binary_cursor() as cursor:
        cursor.execute(_COUNT, _columns(wanted))
        return dict(cursor.fetchall())


def _columns(wanted: Mapping[int, Range]) -> dict[str, list[Any]]:
    columns = zip(*wanted.values(), strict=True) if wanted else [[] for _ in Range._fields]
    return {"series": list(wanted), **dict(zip(Range._fields, map(list, columns), strict=True))}


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
    SELECT series_id, covered, count,
           CASE WHEN in_small AND detail = 2 THEN coalesce(outline, envelope) WHEN in_small THEN envelope END,
           CASE WHEN NOT in_small THEN steps END, CASE WHEN NOT in_small THEN "values" END,
           CASE WHEN NOT in_small THEN times END
    FROM (SELECT metric_chunks.*, detail, {_COVERED} AS covered,
                 {_COVERED} AND detail > 0 AND envelope IS NOT NULL AS in_small
          FROM {_WANTED.format(more=", %(detail)s::int[]", names=", detail")}, metric_chunks WHERE {_OVERLAPS}) AS chunk
    ORDER BY series_id, first_step"""  # noqa: S608 - our own text
_COUNT = f"""
    SELECT series_id, sum(count)::bigint FROM {_WANTED.format(more="", names="")}, metric_chunks
    WHERE {_OVERLAPS} GROUP BY series_id"""  # noqa: S608 - our own text
_WHOLE = """
    SELECT series_id, steps, "values", times FROM metric_chunks
    WHERE series_id = ANY(%s) ORDER BY series_id, first_step"""
_BLOCK = """
    SELECT steps, "values", times FROM metric_chunks
    WHERE series_id = %(series)s AND last_step >= %(following)s AND first_step >= coalesce(
      (SELECT max(first_step) FROM metric_chunks WHERE series_id = %(series)s AND first_step <= %(following)s),
      %(following)s)
    ORDER BY first_step LIMIT %(chunks)s"""
