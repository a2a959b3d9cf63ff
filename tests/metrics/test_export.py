"""An exported file holds every point, and reading it gives the same floats."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pyarrow.parquet
import pytest

from tests.metrics.test_window import noise
from webapp.metrics import store
from webapp.metrics.errors import Invalid, NoSuchSeries
from webapp.metrics.export import export
from webapp.metrics.points import Points
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db
ODD = Points.of([-3, 0, 7, 8], [np.nan, np.inf, -np.inf, 0.1 + 0.2], [1767225600.123456, 2.5, 3.0, 5e-324])


def as_csv(data: bytes) -> list[tuple[str, int, float, float]]:
    rows = list(csv.reader(io.StringIO(data.decode())))
    assert rows[0] == ["name", "step", "value", "time"]
    return [(name, int(step), float(value), float(time)) for name, step, value, time in rows[1:]]


def as_jsonl(data: bytes) -> list[tuple[str, int, float, float]]:
    rows = [json.loads(line, parse_constant=pytest.fail) for line in data.decode().splitlines()]
    return [(row["name"], row["step"], float(row["value"]), row["time"]) for row in rows]


def as_parquet(data: bytes) -> list[tuple[str, int, float, float]]:
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    return list(zip(*(table[name].to_pylist() for name in ("name", "step", "value", "time")), strict=True))


READERS = pytest.mark.parametrize(("kind", "read"), [("csv", as_csv), ("jsonl", as_jsonl), ("parquet", as_parquet)])


def rows_of(name: str, points: Points) -> list[tuple[str, int, float, float]]:
    return [(name, *row) for row in zip(*(column.tolist() for column in points), strict=True)]


@READERS
def test_every_point_comes_back_as_it_was(run: Run, kind: str, read) -> None:
    store.append(run.id, {'loss, "odd"\u00e9': ODD, "long": noise(20_000), "other": noise(3)})
    found = read(b"".join(export(run, ["long", 'loss, "odd"\u00e9'], kind)))
    expected = rows_of("long", noise(20_000)) + rows_of('loss, "odd"\u00e9', ODD)
    np.testing.assert_equal(found, expected)


@READERS
def test_a_run_without_points_gives_a_file_without_rows(run: Run, kind: str, read) -> None:
    assert read(b"".join(export(run, [], kind))) == []


@READERS
def test_points_that_come_while_the_file_is_written_cost_and_double_none(run: Run, kind: str, read) -> None:
    for step in range(40):
        store.append(run.id, {"loss": Points.of([step], [step / 3], [step])})
    pieces = export(run, ["loss"], kind)
    data = next(pieces) + (next(pieces) if kind == "csv" else b"")
    for step in range(40, 80):
        store.append(run.id, {"loss": Points.of([step], [step / 3], [step])})
    steps = [row[1] for row in read(data + b"".join(pieces))]
    assert steps == list(range(len(steps)))
    assert len(steps) >= 40


def test_a_big_file_comes_in_pieces(run: Run) -> None:
    store.append(run.id, {"loss": noise(50_000)})
    assert len(list(export(run, ["loss"], "csv"))) >= 7
    assert len(list(export(run, ["loss"], "parquet"))) >= 7


def test_an_unknown_name_or_format_is_refused_before_the_first_byte(run: Run) -> None:
    store.append(run.id, {"loss": noise(5)})
    with pytest.raises(NoSuchSeries, match="'los'"):
        export(run, ["loss", "los"], "csv")
    with pytest.raises(Invalid, match="xlsx"):
        export(run, ["loss"], "xlsx")  # type: ignore[arg-type]
