"""The metric store: every write of points, inside the caller's transaction, with the changed series locked.

A live run writes a few points at a time. They become small chunks, and eight chunks of one size class are written again
as one of the next (8, 64, 512, 4,096 points, then full ones), so a point is written about six times at most and a
series has a few dozen chunks that are not full. Points at or before the last step (late ones, or a step logged again)
cost a rewrite of the chunks around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, NamedTuple

from django.db import connection
from django.db.transaction import TransactionManagementError

from webapp.metrics import chunks
from webapp.metrics.chunks import NewChunk
from webapp.metrics.models import CHUNK_POINTS
from webapp.metrics.points import Points, join, settle
from webapp.metrics.summary import Summary, follow_all, summarise

__all__ = ["Points", "SeriesRow", "append", "lock", "rewind"]

FAN = 8
SIZE_CLASSES = [(1, 8), (8, 64), (64, 512), (512, 4096)]


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A locked series. `tail` holds the sizes of its last chunks that are not full, in order."""

    id: int
    name: str
    summary: Summary
    tail: list[int]

    def is_late(self, points: Points) -> bool:
        """Whether some of them belong before points that are there, or in their place."""
        return self.summary.last_step is not None and int(points.steps[0]) <= self.summary.last_step

    @property
    def next_step(self) -> int:
        """The step of a point that names none."""
        return 0 if self.summary.last_step is None else self.summary.last_step + 1


class _Change(NamedTuple):
    row: SeriesRow
    written: list[NewChunk]


def append(run_id: int, series: Mapping[str, Points], locked: Mapping[str, SeriesRow] | None = None) -> None:
    """Adds points to some series of a run, in any order of steps; at a step that is there already the new point counts.

    Four statements when no step is late, five when something is merged, however many series there are; one less with
    `locked`, their rows as the caller has just locked them in this transaction.
    """
    some = {name: points for name, points in series.items() if len(points.steps)}
    if some:
        append_all({run_id: some}, {run_id: lock(run_id, some) if locked is None else locked})


def append_all(series: Mapping[int, Mapping[str, Points]], locked: Mapping[int, Mapping[str, SeriesRow]]) -> None:
    """The same for the series of several runs, in no more statements. `locked` is what `lock_all` gave for them."""
    pairs = [
        (locked[run_id][name], settle(Points.of(*points)))
        for run_id, of_run in series.items()
        for name, points in of_run.items()
        if len(points.steps)
    ]
    if not pairs:
        return
    changes = _extend([(row, points) for row, points in pairs if not row.is_late(points)])
    changes += [_insert(row, points) for row, points in pairs if row.is_late(points)]
    chunks.write([chunk for change in changes for chunk in change.written])
    _save([change.row for change in changes])


def rewind(run_id: int, step: int) -> None:
    """Drops every point of the run with a step above `step`, as if it had never been logged."""
    rows = _lock_after(run_id, step)
    if not rows:
        return
    kept = chunks.take_after([row.id for row in rows], step)
    chunks.write([chunks.new(series_id, points) for series_id, points in kept.items()])
    found = chunks.headers([row.id for row in rows])
    _save([_recount(row, found[row.id]) for row in rows])


def lock(run_id: int, names: Iterable[str]) -> dict[str, SeriesRow]:
    """The series of those names, made when missing and locked until the transaction ends. See lock_all."""
    return lock_all({run_id: names})[run_id]


def lock_all(names: Mapping[int, Iterable[str]]) -> dict[int, dict[str, SeriesRow]]:
    """The series of those names of each run, made when missing and locked until the transaction ends.

    Always in the order of runs and names, so that two writers wait for each other instead of deadlocking. Raises
    TransactionManagementError outside a transaction.
    """
    _require_transaction()
    pairs = sorted({(run_id, name) for run_id, of_run in names.items() for name in of_run})
    wanted = [[run_id for run_id, _ in pairs], [name for _, name in pairs]]
    found: dict[int, dict[str, SeriesRow]] = {run_id: {} for run_id in names}
    with chunks.binary_cursor() as cursor:
        rows = cursor.execute(_LOCK, wanted).fetchall()
        if len(rows) < len(pairs):
            cursor.execute(_MAKE, wanted)  # and locks what is there, which else might be deleted now
            rows = cursor.execute(_LOCK, wanted).fetchall()
    for run_id, *fields in rows:
        found[run_id][fields[1]] = _row(fields)
    return found


def taken_of(tail: list[int], new: int) -> int:
    """How many of the last chunks, of those sizes, are written again together with `new` points."""
    if sum(tail) + new >= CHUNK_POINTS:
        return len(tail)
    sizes = [*tail, new]
    for least, bound in SIZE_CLASSES:
        run = len(_trailing(sizes, bound))
        if sizes[-1] >= least and run >= FAN:
            sizes[-run:] = [sum(sizes[-run:])]
    return len(tail) - (len(sizes) - 1)


_COLUMNS = f"id, name, tail, {', '.join(Summary._fields)}"
_WANTED = "unnest(%s::bigint[], %s::text[]) AS wanted (of_run, wanted_name)"
_LOCK = f"""
    SELECT run_id, {_COLUMNS} FROM series JOIN {_WANTED} ON run_id = of_run AND name = wanted_name
    ORDER BY run_id, name FOR NO KEY UPDATE OF series"""  # noqa: S608 - our own names
_MAKE = f"""
    INSERT INTO series (run_id, name, count, finite_count, total, tail)
    SELECT of_run, wanted_name, 0, 0, 0, '{{}}' FROM {_WANTED} ORDER BY of_run, wanted_name
    ON CONFLICT (run_id, name) DO UPDATE SET name = excluded.name WHERE false"""  # noqa: S608 - our own names


def _row(fields: Sequence[Any]) -> SeriesRow:
    series_id, name, tail, *summary = fields
    return SeriesRow(series_id, name, Summary(*summary), tail)


def _lock_after(run_id: int, step: int) -> list[SeriesRow]:
    """The series that reach beyond a step. One that another writer is making now does not: its points come later."""
    _require_transaction()
    with chunks.binary_cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} FROM series WHERE run_id = %s ORDER BY name FOR UPDATE", [run_id])  # noqa: S608
        rows = [_row(fields) for fields in cursor]
    return [row for row in rows if row.summary.last_step is not None and row.summary.last_step > step]


def _require_transaction() -> None:
    if not connection.in_atomic_block:
        raise TransactionManagementError("Points are written inside a transaction: wrap the call in atomic().")


def _extend(pairs: Sequence[tuple[SeriesRow, Points]]) -> list[_Change]:
    """Adds points beyond the last step, and merges the tail where it has grown long."""
    counts = {row.id: taken_of(row.tail, len(points.steps)) for row, points in pairs}
    taken = chunks.take_last({series_id: count for series_id, count in counts.items() if count})
    return [_extended(row, points, counts[row.id], taken.get(row.id)) for row, points in pairs]


def _extended(row: SeriesRow, points: Points, count: int, taken: Points | None) -> _Change:
    pieces = chunks.cut(points if taken is None else join([taken, points]))
    written = [chunks.new(row.id, piece) for piece in pieces]
    sizes = row.tail[: len(row.tail) - count] + [chunk.summary.count for chunk in written]
    added = [chunk.summary for chunk in written] if taken is None else [summarise(points)]
    summary = follow_all([row.summary, *added])
    return _Change(replace(row, summary=summary, tail=_trailing(sizes, CHUNK_POINTS)), written)


def _insert(row: SeriesRow, points: Points) -> _Change:
    """Writes the chunks around late points again, with the points in them."""
    around = chunks.take_around(row.id, int(points.steps[0]), int(points.steps[-1]))
    written = [chunks.new(row.id, piece) for piece in chunks.cut_evenly(settle(join([around, points])))]
    summaries = chunks.headers([row.id])[row.id] + [chunk.summary for chunk in written]
    return _Change(_recount(row, sorted(summaries, key=lambda summary: summary.last_step or 0)), written)


def _recount(row: SeriesRow, summaries: Sequence[Summary]) -> SeriesRow:
    """The series once its chunks are these; one that is half full or fuller is not worth merging."""
    sizes = [summary.count for summary in summaries]
    return replace(row, summary=follow_all(summaries), tail=_trailing(sizes, chunks.HALF))


def _trailing(sizes: Sequence[int], bound: int) -> list[int]:
    return list(takewhile(lambda size: size < bound, reversed(sizes)))[::-1]


def _save(rows: Sequence[SeriesRow]) -> None:
    tails = ["{" + ",".join(map(str, row.tail)) + "}" for row in rows]
    columns = zip(*(row.summary for row in rows), strict=True)
    with chunks.binary_cursor() as cursor:
        cursor.execute(_UPDATE, [[row.id for row in rows], tails, *map(list, columns)])


_UPDATE = f"""
    UPDATE series SET tail = new.tail::int[], {", ".join(f"{name} = new.{name}" for name in Summary._fields)}
    FROM unnest(%s::bigint[], %s::text[], {", ".join(f"%s::{chunks.TYPES[name]}[]" for name in Summary._fields)})
      AS new (id, tail, {", ".join(Summary._fields)})
    WHERE series.id = new.id"""  # noqa: S608 - our own names
