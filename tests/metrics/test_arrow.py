"""Points as Arrow: whatever pyarrow writes of the four columns is read back, and nothing else gets in."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.metrics import arrow
from webapp.metrics.errors import Invalid
from webapp.metrics.external import MOST_POINTS


def stream(table: pa.Table, compression: str | None = None, rows: int | None = None) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=False)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def refusal(**columns: Any) -> tuple[list[Any], str]:
    with pytest.raises(Invalid) as caught:
        arrow.parse(stream(pa.table(columns)))
    error = caught.value.errors[0]
    return error["loc"], error["msg"]


rows = st.lists(
    st.tuples(
        st.sampled_from(["loss", "eval/loss", "größe", "λ"]),
        st.floats(),
        st.integers(0, 2**63 - 1),
        st.floats(0, 1e11),
    ),
    max_size=40,
)


@given(rows, st.sampled_from(["text", "large text", "dictionary", "large dictionary"]), st.integers(1, 50))
def test_each_series_gets_its_rows_in_their_order(given: list[Any], kind: str, batch: int) -> None:
    types = {
        "text": pa.string(), "large text": pa.large_string(), "dictionary": pa.dictionary(pa.int8(), pa.string()),
        "large dictionary": pa.dictionary(pa.int32(), pa.large_string()),
    }  # fmt: skip
    names, values, steps, times = zip(*given, strict=True) if given else ((), (), (), ())
    columns = {
        "step": pa.array(steps, pa.int64()), "name": pa.array(names, types[kind]),
        "time": pa.array(times, pa.float64()), "value": pa.array(values, pa.float64()),
    }  # fmt: skip
    parsed = arrow.parse(stream(pa.table(columns), rows=batch))
    assert set(parsed) == set(names)
    for name, found in parsed.items():
        own = [row for row in given if row[0] == name]
        np.testing.assert_array_equal(found.values, [row[1] for row in own])
        assert found.steps is not None and found.steps.tolist() == [row[2] for row in own]
        assert found.times is not None and found.times.tolist() == [row[3] for row in own]


def test_steps_and_times_may_be_left_out_and_numbers_may_be_of_any_kind() -> None:
    parsed = arrow.parse(stream(pa.table({"name": ["a", "b"], "value": pa.array([1, 2], pa.uint8())})))
    assert (parsed["a"].steps, parsed["a"].times, parsed["b"].values.tolist()) == (None, None, [2.0])
    half = pa.array(np.array([0.5, math.inf], np.float16))
    parsed = arrow.parse(stream(pa.table({"name": ["a", "a"], "value": half, "step": pa.array([3, 4], pa.int32())})))
    assert parsed["a"].values.tolist() == [0.5, math.inf]
    assert parsed["a"].steps is not None and parsed["a"].steps.tolist() == [3, 4]


def test_one_text_twice_in_a_dictionary_is_one_series() -> None:
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["a", "a"]))
    assert arrow.parse(stream(pa.table({"name": twice, "value": [1.0, 2.0, 3.0]})))["a"].values.tolist() == [1, 2, 3]


def test_what_is_wrong_is_named() -> None:
    assert refusal(value=[1.0])[0] == ["series", "name"]
    assert refusal(name=["a"])[0] == ["series", "value"]
    assert refusal(name=["a"], value=["1"]) == (["series", "value"], "Must be a column of numbers, not of string.")
    assert "whole numbers" in refusal(name=["a"], value=[1.0], step=[1.5])[1]
    assert "whole numbers" in refusal(name=["a"], value=[1.0], step=pa.array([1], pa.uint64()))[1]
    assert "each once" in refusal(name=["a"], value=[1.0], weight=[1.0])[1]
    assert refusal(name=pa.array([None], pa.string()), value=[1.0])[1] == "Every row needs the name of a metric."
    assert "at most 250 characters" in refusal(name=["x" * 251], value=[1.0])[1]
    assert "at most 250 characters" in refusal(name=pa.array(["x" * 251]).dictionary_encode(), value=[1.0])[1]
    names = ["a", "b", "b"]
    assert refusal(name=names, value=[1.0, 2.0, None]) == (
        ["series", "b", "value", 1],
        "A value must be a number, not None.",
    )
    assert refusal(name=names, value=[1.0] * 3, step=[0, 1, -1])[0] == ["series", "b", "step", 1]
    loc, message = refusal(name=names, value=[1.0] * 3, time=[1.0, math.nan, 1.0])
    assert loc == ["series", "b", "time", 0] and message.endswith("not nan.")
    assert refusal(name=["a"], value=[1.0], time=[1767225600000])[0] == ["series", "a", "time", 0]


def test_every_series_at_fault_is_named() -> None:
    table = pa.table({"name": ["a", "b", "c", "a"], "value": [None, 1.0, None, None]})
    with pytest.raises(Invalid) as caught:
        arrow.parse(stream(table))
    assert sorted(error["loc"][1] for error in caught.value.errors) == ["a", "c"]


def test_numbers_of_points_and_of_metrics_are_bounded() -> None:
    many = MOST_POINTS + 1
    assert "At most 100,000 points" in refusal(name=pa.repeat("a", many), value=np.zeros(many))[1]
    assert "At most 1,000 metrics" in refusal(name=[str(name) for name in range(1001)], value=np.zeros(1001))[1]


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("named", ["text", "dictionary"])
def test_compressed_buffers_are_refused_before_they_are_inflated(compression: str, named: str) -> None:
    names = pa.array(["a"] * 50_000)
    names = names.dictionary_encode() if named == "dictionary" else names
    body = stream(pa.table({"name": names, "value": np.zeros(50_000)}), compression)
    before = pa.total_allocated_bytes()
    with pytest.raises(Invalid, match="compressed"):
        arrow.parse(body)
    assert pa.total_allocated_bytes() <= before + 2 * len(body)


GOOD = stream(pa.table({"name": pa.array(["a", "bc"]).dictionary_encode(), "value": [1.0, 2.0], "step": [1, 2]}))


@given(
    st.binary(max_size=64) | st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)) | st.integers(0, len(GOOD))
)
def test_a_broken_stream_is_refused_or_means_something_else_but_never_breaks_the_server(damage: Any) -> None:
    if isinstance(damage, bytes):
        body = damage
    elif isinstance(damage, tuple):
        body = GOOD[: damage[0]] + bytes([damage[1]]) + GOOD[damage[0] + 1 :]
    else:
        body = GOOD[:damage]
    try:
        parsed = arrow.parse(body)
    except Invalid as error:
        assert error.errors[0]["loc"][0] == "series"
    else:
        assert all(len(columns.values) <= 2 for columns in parsed.values())
