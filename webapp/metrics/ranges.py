"""Reading the points of a series, all or those of a range, whole or in small."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from webapp.metrics.chunks import binary_cursor
from webapp.metrics.points import BYTES_PER_POINT, Points, between, join, settle

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


_WANTED = """
    WITH wanted AS (
      SELECT *, coalesce((SELECT max(first_step) FROM metric_chunks
                          WHERE series_id = asked AND first_step <= from_step), from_step) AS starts
      FROM unnest(%(series)s::bigint[], %(first_step)s::bigint[], %(last_step)s::bigint[], %(first_time)s::float8[],
                  %(last_time)s::float8[], %(detail)s::int[])
        AS ranges (asked, from_step, to_step, from_time, to_time, detail))"""
_OVERLAPS = """series_id = asked AND first_step BETWEEN starts AND to_step AND last_step >= from_step
               AND last_time >= from_time AND first_time <= to_time"""
_COVERED = "first_step >= from_step AND last_step <= to_step AND first_time >= from_time AND last_time <= to_time"


class Part(NamedTuple):
    """Some points of a series, or chunks in small that stand for `count` of them."""

    count: int  # type: ignore[assignment]  # shadows tuple.count
    points: Points


class Detail(IntEnum):
    """How chunks that lie inside a range are read."""

    WHOLE = 0
    ENVELOPE = 1
    CONTOUR = 2
    OUTLINE = 3


def read(series_id: int, within: Range, detail: Detail = Detail.WHOLE) -> Part:
    """The points of a range in order of steps."""
    return together(read_all({series_id: within}, {series_id: detail}).get(series_id, []))


def read_all(wanted: Mapping[int, Range], details: Mapping[int, Detail]) -> dict[int, list[Part]]:
    """The parts of a range of each series, to be put together; whole where no detail is named. One query."""
    found: dict[int, list[Part]] = defaultdict(list)
    with binary_cursor() as cursor:
        cursor.execute(_READ if any(details.values()) else _READ_WHOLE, _parameters(wanted, details))
        for series_id, *fields in cursor:
            found[series_id].append(_part(wanted[series_id], *fields))
    return found


def together(parts: Sequence[Part]) -> Part:
    """In order of steps: chunks that are whole may lie before, after and between those in small. No two overlap."""
    pieces = sorted((part.points for part in parts if len(part.points.steps)), key=lambda points: int(points.steps[0]))
    return Part(sum(part.count for part in parts), settle(join(pieces)))


def counts(wanted: Mapping[int, Range]) -> dict[int, int]:
    """How many points the chunks of each range hold: those of the range and a few more at its ends."""
    with binary_cursor() as cursor:
        cursor.execute(_COUNT, _parameters(wanted, {}))
        return dict(cursor.fetchall())


def _parameters(wanted: Mapping[int, Range], details: Mapping[int, Detail]) -> dict[str, list[Any]]:
    columns = zip(*wanted.values(), strict=True) if wanted else [[] for _ in Range._fields]
    ranges = dict(zip(Range._fields, map(list, columns), strict=True))
    return {"series": list(wanted), **ranges, "detail": [int(details.get(series_id, 0)) for series_id in wanted]}


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


def _part(within: Range, count: int, is_covered: bool, lengths: bytes | None, *columns: bytes) -> Part:
    if lengths is not None:
        return Part(count, _unpack_many(lengths, columns[0]))
    points = Points.unpack(*columns)
    if not is_covered:
        points = within.select(points)
    return Part(len(points.steps), points)


def _unpack_many(lengths: bytes, packed: bytes) -> Points:
    """The points of many `pack_one`, one after the other, that have those lengths in bytes (big-endian int32)."""
    counts = np.frombuffer(lengths, ">i4").astype(np.intp) // BYTES_PER_POINT
    skipped = np.repeat(np.cumsum(counts) - counts, counts)  # points before the `pack_one` that a point is in
    at, apart = 2 * skipped + np.arange(len(skipped)), np.repeat(counts, counts)
    steps, numbers = np.frombuffer(packed, "<i8"), np.frombuffer(packed, "<f8")
    return Points(steps[at], numbers[at + apart], numbers[at + 2 * apart])


# For every series one row of its chunks in small, put together by the database: of a long series a row each would cost
# more than all else. Chunks that come whole are a row each: together they might not fit into one.
_IN_SMALL = f"detail > 0 AND envelope IS NOT NULL AND {_COVERED}"
_SMALL = f"""
    SELECT asked, part.* FROM wanted, LATERAL (
      SELECT sum(count)::bigint, true, string_agg(int4send(length(small)), ''), string_agg(small, ''),
             NULL::bytea, NULL::bytea
      FROM (SELECT count, CASE detail WHEN {Detail.OUTLINE} THEN coalesce(outline, contour, envelope)
                                      WHEN {Detail.CONTOUR} THEN coalesce(contour, envelope) ELSE envelope END AS small
            FROM metric_chunks WHERE {_OVERLAPS} AND {_IN_SMALL} ORDER BY first_step) AS chunk
      HAVING count(*) > 0) AS part"""  # noqa: S608 - our own text
_REST = f"""
    SELECT asked, part.* FROM wanted, LATERAL (
      SELECT count, {_COVERED}, NULL::bytea, steps, "values", times
      FROM metric_chunks WHERE {_OVERLAPS} AND NOT ({_IN_SMALL}) ORDER BY first_step) AS part"""  # noqa: S608
_READ_WHOLE = _WANTED + _REST
_READ = f"{_WANTED}{_SMALL} UNION ALL {_REST}"
_COUNT = f"{_WANTED} SELECT asked, sum(count)::bigint FROM wanted, metric_chunks WHERE {_OVERLAPS} GROUP BY 1"  # noqa: S608
_WHOLE = """
    SELECT series_id, steps, "values", times FROM metric_chunks
    WHERE series_id = ANY(%s) ORDER BY series_id, first_step"""
_BLOCK = """
    SELECT steps, "values", times FROM metric_chunks
    WHERE series_id = %(series)s AND last_step >= %(following)s AND first_step >= coalesce(
      (SELECT max(first_step) FROM metric_chunks WHERE series_id = %(series)s AND first_step <= %(following)s),
      %(following)s)
    ORDER BY first_step LIMIT %(chunks)s"""
