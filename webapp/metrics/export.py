"""Every point of a run as a file, a chunk at a time: memory does not grow with the run."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from webapp.metrics import ranges
from webapp.metrics.errors import Invalid, NoSuchSeries
from webapp.metrics.models import Series
from webapp.metrics.points import Float64, Points
from webapp.runs import plain
from webapp.runs.models import Run

Format = Literal["csv", "parquet", "jsonl", "arrow"]
Block = tuple[str, Points]
SCHEMA = pa.schema([("name", pa.string()), ("step", pa.int64()), ("value", pa.float64()), ("time", pa.float64())])


def export(run: Run, names: Sequence[str], format: Format) -> Iterator[bytes]:  # noqa: A002 - the word of the API
    """Rows of name, step, value and time (seconds since the epoch), series after series, in order of steps.

    csv has a header and spells nan, inf and -inf; jsonl spells "NaN", "Infinity" and "-Infinity"; floats are written
    so that reading them gives the same float. Raises NoSuchSeries and Invalid at once, before the first byte.
    """
    if format not in _WRITERS:
        message = f"format must be one of {', '.join(_WRITERS)}, not {format!r}."
        raise Invalid([{"loc": ["format"], "msg": message}])
    ids = dict(Series.objects.filter(run=run, name__in=names, count__gt=0).values_list("name", "id"))
    for name in names:
        if name not in ids:
            raise NoSuchSeries(run.pk, name)
    return _WRITERS[format]((name, points) for name in dict.fromkeys(names) for points in ranges.blocks(ids[name]))


def _csv(blocks: Iterator[Block]) -> Iterator[bytes]:
    sink = Sink()
    with pa.csv.CSVWriter(sink, SCHEMA) as writer:
        yield sink.take()
        for block in blocks:
            writer.write_table(_table(block))
            yield sink.take()


def _parquet(blocks: Iterator[Block]) -> Iterator[bytes]:
    """One row group a chunk; its footer comes last."""
    sink = Sink()
    with pa.parquet.ParquetWriter(sink, SCHEMA, compression="zstd") as writer:
        for block in blocks:
            writer.write_table(_table(block))
            yield sink.take()
    yield sink.take()


def _arrow(blocks: Iterator[Block]) -> Iterator[bytes]:
    """An IPC stream, not compressed: the fastest to write and to read."""
    sink = Sink()
    schema = SCHEMA.set(0, pa.field("name", pa.dictionary(pa.int32(), pa.string())))
    with pa.ipc.new_stream(sink, schema) as writer:
        yield sink.take()
        for name, points in blocks:
            names = pa.DictionaryArray.from_arrays(np.zeros(len(points.steps), np.int32), pa.array([name]))
            writer.write_batch(pa.record_batch([names, *map(pa.array, points)], schema=schema))
            yield sink.take()
    yield sink.take()


def _jsonl(blocks: Iterator[Block]) -> Iterator[bytes]:
    """Lines put together by hand: the json module takes four times as long."""
    for name, points in blocks:
        head = f'{{"name": {json.dumps(name, ensure_ascii=False)}, "step": '
        rows = zip(points.steps.tolist(), _spelled(points.values), points.times.tolist(), strict=True)
        lines = [f'{head}{step}, "value": {value}, "time": {time!r}}}\n' for step, value, time in rows]
        yield "".join(lines).encode()


def _spelled(values: Float64) -> Iterator[str]:
    if np.isfinite(values).all():
        return map(repr, values.tolist())
    return (repr(value) if math.isfinite(value) else f'"{plain.json(value)}"' for value in values.tolist())


_WRITERS: dict[str, Callable[[Iterator[Block]], Iterator[bytes]]] = {
    "csv": _csv, "parquet": _parquet, "jsonl": _jsonl, "arrow": _arrow,
}  # fmt: skip


def _table(block: Block) -> pa.Table:
    name, points = block
    return pa.table([pa.repeat(name, len(points.steps)), *map(pa.array, points)], schema=SCHEMA)


class Sink(io.RawIOBase):
    """A file whose bytes are taken away as they come; its position goes on, as Parquet's footer needs."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._waiting.append(piece)
        self._position += len(piece)
        return len(piece)

    def take(self) -> bytes:
        taken = b"".join(self._waiting)
        self._waiting.clear()
        return taken
