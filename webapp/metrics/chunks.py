"""Chunks as rows: written by binary COPY, read as binary, both far faster than through the ORM's text.

All of it runs on Django's own connection, so it belongs to whatever transaction is open there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import psycopg
from django.db import connection

from webapp.metrics.decimate import envelope
from webapp.metrics.models import CHUNK_POINTS, CONTOUR_BUCKETS
from webapp.metrics.points import Points, between, join
from webapp.metrics.summary import Summary, summarise

HALF = CHUNK_POINTS // 2
TYPES = {
    "series_id": "int8", "first_step": "int8", "count": "int8", "finite_count": "int8", "total": "float8",
    "minimum": "float8", "maximum": "float8", "first": "float8", "last": "float8", "last_step": "int8",
    "first_time": "float8", "last_time": "float8", "steps": "bytea", "values": "bytea", "times": "bytea",
    "envelope": "bytea", "contour": "bytea", "outline": "bytea",
}  # fmt: skip
_COPY = f"COPY metric_chunks ({', '.join(TYPES)}) FROM STDIN (FORMAT BINARY)".replace("values", '"values"')


@contextmanager
def binary_cursor() -> Iterator[psycopg.Cursor[Any]]:
    """A cursor whose answers come in binary; errors are raised as django.db's."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.format = psycopg.pq.Format.BINARY
        yield cursor


class NewChunk(NamedTuple):
    series_id: int
    points: Points
    summary: Summary


def cut(points: Points) -> list[Points]:
    """Full chunks from the front and what is left over."""
    return [points.take(slice(at, at + CHUNK_POINTS)) for at in range(0, len(points.steps), CHUNK_POINTS)]


def cut_evenly(points: Points) -> list[Points]:
    """As few chunks as possible, all about equally full, so that points inserted later seldom make another chunk."""
    n = len(points.steps)
    pieces = -(-n // CHUNK_POINTS)
    edges = [n * piece // pieces for piece in range(pieces + 1)]
    return [points.take(slice(*pair)) for pair in pairwise(edges)]


def new(series_id: int, points: Points) -> NewChunk:
    return NewChunk(series_id, points, summarise(points))


def write(chunks: Sequence[NewChunk]) -> None:
    if not chunks:
        return
    with binary_cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(list(TYPES.values()))
        for series_id, points, summary in chunks:
            copy.write_row((series_id, int(points.steps[0]), *summary, *points.pack(), *_small(points)))


def _small(points: Points) -> tuple[bytes, bytes, bytes] | tuple[None, None, None]:
    """The envelope, the contour and the outline of a chunk that is worth them."""
    if len(points.steps) < HALF:
        return None, None, None
    contour = envelope(points, CONTOUR_BUCKETS)
    return envelope(points).pack_one(), contour.pack_one(), envelope(contour, 1).pack_one()


def take_last(wanted: dict[int, int]) -> dict[int, Points]:
    """Takes the last so many chunks of each series out of the table and gives their points, in order.

    `wanted` maps a series to the number of its chunks.
    """
    return _take(
        """SELECT chunk.id FROM unnest(%s::bigint[], %s::int[]) AS wanted (series_id, chunks), LATERAL (
             SELECT id FROM metric_chunks WHERE series_id = wanted.series_id
             ORDER BY first_step DESC LIMIT wanted.chunks
           ) AS chunk""",
        [list(wanted), list(wanted.values())],
    )


def take_around(series_id: int, first_step: int, last_step: int) -> Points:
    """Takes out of the table every chunk from the one at or before `first_step` to the one after `last_step`."""
    taken = _take(
        """SELECT id FROM metric_chunks WHERE series_id = %(series)s
           AND first_step >= coalesce((SELECT max(first_step) FROM metric_chunks
                                       WHERE series_id = %(series)s AND first_step <= %(first)s), %(first)s)
           AND first_step <= coalesce((SELECT min(first_step) FROM metric_chunks
                                       WHERE series_id = %(series)s AND first_step > %(last)s), %(last)s)""",
        {"series": series_id, "first": first_step, "last": last_step},
    )
    return taken.get(series_id, Points.empty())


def take_after(series_ids: Sequence[int], step: int) -> dict[int, Points]:
    """Takes out every chunk with a step above `step` and gives, per series, the points up to it that went along."""
    with binary_cursor() as cursor:
        cursor.execute(
            """DELETE FROM metric_chunks WHERE series_id = ANY(%(series)s) AND last_step > %(step)s
               RETURNING series_id, first_step <= %(step)s AS stays, CASE WHEN first_step <= %(step)s THEN steps END,
                         CASE WHEN first_step <= %(step)s THEN "values" END,
                         CASE WHEN first_step <= %(step)s THEN times END""",
            {"series": list(series_ids), "step": step},
        )
        straddling = [(series_id, Points.unpack(*columns)) for series_id, stays, *columns in cursor if stays]
    return {series_id: between(points, None, step) for series_id, points in straddling}


def headers(series_ids: Sequence[int]) -> dict[int, list[Summary]]:
    """The summaries of the chunks of each series, in order."""
    found: dict[int, list[Summary]] = {series_id: [] for series_id in series_ids}
    with binary_cursor() as cursor:
        cursor.execute(
            f"SELECT series_id, {', '.join(Summary._fields)} FROM metric_chunks "  # noqa: S608 - our own names
            "WHERE series_id = ANY(%s) ORDER BY series_id, first_step",
            [list(series_ids)],
        )
        for series_id, *fields in cursor:
            found[series_id].append(Summary(*fields))
    return found


def _take(which: str, parameters: Sequence[Any] | Mapping[str, Any]) -> dict[int, Points]:
    """Deletes the chunks whose ids `which` selects; gives their points by series, in order of steps."""
    parts: dict[int, list[Points]] = defaultdict(list)
    with binary_cursor() as cursor:
        cursor.execute(
            f'DELETE FROM metric_chunks WHERE id IN ({which}) RETURNING series_id, steps, "values", times',  # noqa: S608
            parameters,
        )
        for series_id, *columns in cursor:
            parts[series_id].append(Points.unpack(*columns))
    return {series_id: join(sorted(chunks, key=_first_step)) for series_id, chunks in parts.items()}


def _first_step(points: Points) -> int:
    return int(points.steps[0])
