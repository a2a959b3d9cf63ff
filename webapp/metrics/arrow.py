"""Points as Arrow: an IPC stream whose rows are name, value, step and time, as the export writes them.

`name` is text (a dictionary is smallest), `value` any number, `step` whole, `time` in seconds since the epoch; the last
two may be left out. A stream with compressed buffers is refused, because its size is known only once it is inflated:
the body may be compressed as a whole instead.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from webapp.metrics import external
from webapp.metrics.errors import FieldError, Invalid
from webapp.metrics.external import LATEST_TIME, MOST_ERRORS, MOST_POINTS, MOST_SERIES, Columns
from webapp.metrics.points import Int64

CONTENT_TYPE = "application/vnd.apache.arrow.stream"
COLUMNS = ("name", "value", "step", "time")
RECORD_BATCH, DICTIONARY_BATCH = 3, 2  # what a message holds, in the numbers of Arrow's Message.fbs
OLD_MARK = b"ARROW:experimental_compression"  # how Arrow 0.17 said so
RULES = {"value": "A value must be a number", "step": external.STEP_RULE, "time": external.TIME_RULE}


def parse(body: bytes) -> dict[str, Columns]:
    """The points of a stream by metric.

    Raises Invalid: for a stream that can't be read, or with the first fault of each series, twenty at most.
    """
    table = _table(body)
    names, codes = _names(table["name"])
    columns = {name: _numbers(name, table[name]) for name in table.column_names[1:]}
    wrong = {name: _is_wrong(name, table[name], numbers) for name, numbers in columns.items()}
    _refuse_faults(names, codes, wrong, table)
    order = np.argsort(codes, kind="stable")
    pieces = np.split(order, np.searchsorted(codes[order], np.arange(1, len(names))))
    steps, values, times = (columns.get(name) for name in ("step", "value", "time"))
    assert values is not None
    return {
        name: Columns(None if steps is None else steps[rows], values[rows], None if times is None else times[rows])
        for name, rows in zip(names, pieces, strict=False)  # no name, one empty piece
    }


def _table(body: bytes) -> pa.Table:
    """All rows, `name` first, checked down to the last offset of the last text."""
    try:
        _refuse_compressed(body)
        with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
            _check_schema(reader.schema)
            table = pa.Table.from_batches(_limited(reader), reader.schema)
        table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError, IndexError, struct.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise _invalid([], f"The body is no Arrow IPC stream that can be read: {reason}") from None
    return table.select([name for name in COLUMNS if name in table.column_names])


def _limited(reader: pa.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    total = 0
    for batch in reader:
        total += batch.num_rows
        if total > MOST_POINTS:
            raise _invalid([], f"At most {MOST_POINTS:,} points in one request: send several requests.")
        yield batch


def _check_schema(schema: pa.Schema) -> None:
    if sorted(schema.names) != sorted(set(schema.names) & set(COLUMNS)):
        raise _invalid([], f"The columns are {', '.join(COLUMNS)}, each once, not {', '.join(schema.names)}.")
    for column, is_right, needs in (
        ("name", _is_text, "text, or a dictionary of text"),
        ("value", _is_number, "numbers"),
        ("step", _is_whole, "whole numbers that int64 holds"),
        ("time", _is_number, "numbers"),
    ):
        if column not in schema.names:
            if column in ("name", "value"):
                raise _invalid([column], f"Required: a column of {needs}.")
        elif not is_right(schema.field(column).type):
            raise _invalid([column], f"Must be a column of {needs}, not of {schema.field(column).type}.")


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind)) and kind != pa.uint64()


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _names(column: pa.ChunkedArray) -> tuple[list[str], Int64]:
    """Every metric once, and for each row which one it is. Raises Invalid for what can't be a name."""
    for chunk in column.chunks:
        for text in chunk.dictionary.to_pylist() if pa.types.is_dictionary(column.type) else ():
            external.check_name(text)  # before a long one is written out for every row
    coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    if coded.null_count:
        raise _invalid(["name"], "Every row needs the name of a metric.")
    if len(coded.dictionary) > MOST_SERIES:
        raise _invalid([], f"At most {MOST_SERIES:,} metrics in one request, not {len(coded.dictionary):,}.")
    names: list[str] = coded.dictionary.to_pylist()
    for name in names:
        external.check_name(name)
    return names, coded.indices.to_numpy().astype(np.int64)


def _numbers(name: str, column: pa.ChunkedArray) -> NDArray[Any]:
    """int64 of steps, else float64; a null is 0, and `_is_wrong` says where they are."""
    return np.asarray(column.fill_null(0).to_numpy(), np.int64 if name == "step" else np.float64)


def _is_wrong(name: str, column: pa.ChunkedArray, numbers: NDArray[Any]) -> NDArray[np.bool_]:
    """For each row whether its entry breaks the column's rule."""
    wrong = column.is_null().to_numpy() if column.null_count else np.zeros(len(numbers), np.bool_)
    if name == "step":
        return np.asarray(wrong | (numbers < 0), np.bool_)
    if name == "time":
        return np.asarray(wrong | ~((numbers >= 0) & (numbers <= LATEST_TIME)), np.bool_)
    return np.asarray(wrong, np.bool_)


def _refuse_faults(names: list[str], codes: Int64, wrong: dict[str, NDArray[np.bool_]], columns: pa.Table) -> None:
    """Names, of each series at fault, the column, the entry's place among the series' own, and the entry."""
    rows = np.flatnonzero(np.logical_or.reduce(list(wrong.values())))
    if not len(rows):
        return
    errors: list[FieldError] = []
    for row in rows[np.unique(codes[rows], return_index=True)[1]][:MOST_ERRORS]:
        column = next(name for name in wrong if wrong[name][row])
        place = int(np.count_nonzero(codes[:row] == codes[row]))
        message = f"{RULES[column]}, not {external.shown(columns[column][int(row)].as_py())}."
        errors.append({"loc": ["series", names[codes[row]], column, place], "msg": message})
    raise Invalid(errors)


def _refuse_compressed(body: bytes) -> None:
    for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(body)):
        metadata = message.metadata.to_pybytes()
        if OLD_MARK in metadata or _says_compressed(metadata):
            raise _invalid([], "Its buffers are compressed: compress the whole body, with Content-Encoding, instead.")


def _says_compressed(metadata: bytes) -> bool:
    """Reads the flatbuffer Message: {version, header_type, header, ...}; RecordBatch: {length, nodes, buffers,
    compression}; DictionaryBatch: {id, data: RecordBatch, isDelta}."""
    table = struct.unpack_from("<I", metadata, 0)[0]
    kind_at = _field(metadata, table, 1)
    kind = metadata[kind_at] if kind_at else 0
    if kind not in (RECORD_BATCH, DICTIONARY_BATCH):
        return False
    batch = _table_at(metadata, table, 2)
    if kind == DICTIONARY_BATCH:
        batch = _table_at(metadata, batch, 1)
    return bool(_field(metadata, batch, 3))


def _field(buffer: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffer's table stands; 0 when it is left out."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", buffer, vtable)[0]:
        return 0
    offset = struct.unpack_from("<H", buffer, vtable + 4 + 2 * number)[0]
    return table + offset if offset else 0


def _table_at(buffer: bytes, table: int, number: int) -> int:
    at = _field(buffer, table, number)
    if not at:
        raise struct.error("a batch without its header")
    return int(at + struct.unpack_from("<I", buffer, at)[0])


def _invalid(loc: list[str | int], message: str) -> Invalid:
    return Invalid([{"loc": ["series", *loc], "msg": message}])
