"""A file of runs: held against the pages of the same table, read one by one."""

from __future__ import annotations

import csv
import io
import math
from datetime import UTC, datetime

import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.metrics.table.making import make
from tests.runs import scene
from webapp.metrics.table import exporting
from webapp.metrics.table.exporting import export
from webapp.metrics.table.fields import fields, path_of
from webapp.pages.runs.params import param_text
from webapp.runs.errors import Invalid
from webapp.runs.models import Run
from webapp.runs.tables import order_of, page, table

pytestmark = pytest.mark.django_db
NAMES = ["eval/loss", "metrics.eval/loss.min", "params.x", "status", "tags", "created", "time"]
SORTS = [
    "id",
    "-id",
    "metrics.eval/loss",
    "-metrics.eval/loss",
    "metrics.eval/loss.mean",
    "-params.x",
    "status",
    "-name",
]


def written(form: str, names: list[str], sort: str = "-id", q: str = "") -> bytes:
    return b"".join(export(table(scene.person(), q=q), order_of(sort.removeprefix("-")), sort, fields(names), form))


def csv_rows(names: list[str], sort: str = "-id", q: str = "") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written("csv", names, sort, q).decode())))


def pages(sort: str, limit: int) -> list[Run]:
    """The table, page by page."""
    found, cursor = [], ""
    while cursor is not None:
        part = page(table(scene.person()), sort=sort, cursor=cursor, limit=limit)
        found, cursor = [*found, *part.items], part.next
    return found


TOLD = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["succeeded", "failed", "running"]),
        "tags": st.lists(st.sampled_from(["a", "b", "c d"]), max_size=2, unique=True),
        "spec": st.sampled_from(
            [{}, {"x": 1}, {"x": 1.5}, {"x": "text"}, {"x": {"name": "n"}}, {"x": [1, 2]}, {"x": None}]
        ),
        "metrics": st.sampled_from(
            [{}, {"eval/loss": [2.0, 1.0]}, {"eval/loss": [1.0, math.nan]}, {"eval/loss": [3.0, -math.inf]}]
        ),
    }
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(told=st.lists(TOLD, max_size=6), sort=st.sampled_from(SORTS), piece=st.integers(1, 3), limit=st.integers(1, 3))
def test_a_file_is_the_pages_read_one_by_one(told, sort, piece, limit) -> None:
    made = {run.pk: one for run, one in zip(make(told), told, strict=True)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "PIECE_RUNS", piece)
        rows = csv_rows(NAMES, sort)
        columns = parquet.read_table(io.BytesIO(written("parquet", NAMES, sort))).to_pylist()
    runs = pages(sort, limit)
    assert [int(row["id"]) for row in rows] == [run.pk for run in runs] == [row["id"] for row in columns]
    for run, row, kept in zip(runs, rows, columns, strict=True):
        values = made[run.pk]["metrics"].get("eval/loss")
        finite = [value for value in values or [] if math.isfinite(value)]
        assert row["eval/loss"] == ("" if values is None else str(values[-1]))
        assert row["metrics.eval/loss.min"] == (str(min(finite)) if finite else "")
        assert (row["name"], row["status"], row["tags"]) == (run.name, run.status, ", ".join(run.tags))
        assert kept["tags"] == run.tags and kept["created"] == run.created_at
        assert datetime.fromisoformat(row["created"]) == run.created_at
        assert row["time"] == ""
        expected = {"1": 1, "1.5": 1.5, "text": "text", "n": "n", "[1, 2]": "[1, 2]", "": None}[row["params.x"]]
        assert kept["params.x"] in (expected, str(expected))


def test_a_parameter_is_a_column_of_numbers_where_all_that_is_there_is_one() -> None:
    make([{"spec": {"x": 1, "y": 1}}, {"spec": {"x": 2.5, "y": "one"}}, {"spec": {}}])
    found = parquet.read_table(io.BytesIO(written("parquet", ["params.x", "params.y", "params.none"], "id")))
    assert found.column("params.x").to_pylist() == [1.0, 2.5, None]
    assert found.column("params.y").to_pylist() == ["1", "one", None]
    assert [str(field.type) for field in found.schema] == ["int64", "string", "double", "string", "string"]


def test_facts_are_columns_as_parameters_are() -> None:
    """Written as the page's cells show them."""
    make([{"name": name} for name in ("deep", "flat", "none")])
    told = [
        {"model": {"layers": 12, "name": "gpt", "tied": True}, "data": {"splits": ["a", "b"]}},
        {"model": {"layers": 2.5}, "data": "text"},
        {},
    ]
    for run, facts in zip(Run.objects.order_by("id"), told, strict=True):
        Run.objects.filter(pk=run.pk).update(facts=facts)
    names = ["facts.model.layers", "facts.model", "facts.model.tied", "facts.data.splits", "facts.data.splits.1"]
    found = parquet.read_table(io.BytesIO(written("parquet", names, "facts.model.layers")))
    assert found.column("name").to_pylist() == ["flat", "deep", "none"]
    assert found.column("facts.model.layers").to_pylist() == [2.5, 12.0, None]
    rows = csv_rows(names, "facts.model.layers")
    shown = [[param_text(facts, path_of(name).parts[1:]) for name in names] for facts in (told[1], told[0], told[2])]
    assert [[row[name] for name in names] for row in rows] == shown
    assert shown[1] == ["12", "gpt", "true", '["a", "b"]', "b"]


def test_types_in_a_file_that_has_them() -> None:
    make([{"metrics": {"loss": [math.nan]}}])
    Run.objects.update(
        started_at=datetime(2026, 1, 1, tzinfo=UTC), ended_at=datetime(2026, 1, 1, 1, tzinfo=UTC), steps=8
    )
    Run.objects.update(step=2, facts={"parameters": {"total": 200, "trainable": 50}})
    Run.objects.update(result={"memory": {"peak_bytes": 10**10}}, spec={"model": {"source": "run", "run": 7}})
    names = ["started", "time", "progress", "trainable", "memory", "model", "by", "loss", "metrics.loss.mean"]
    found = parquet.read_table(io.BytesIO(written("parquet", names)))
    row = found.to_pylist()[0]
    assert row["started"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert (row["time"], row["progress"], row["trainable"], row["memory"]) == (3600.0, 0.25, 0.25, 10**10)
    assert (row["model"], row["by"], row["metrics.loss.mean"]) == ("run 7", "ada", None)
    assert math.isnan(row["loss"])


def test_what_a_spreadsheet_would_run_is_quoted() -> None:
    make([{"name": "=1+1", "tags": ["@x"], "spec": {"x": "-2"}, "metrics": {"loss": [-2.0]}}])
    row = csv_rows(["tags", "params.x", "loss"])[0]
    assert (row["name"], row["tags"], row["params.x"], row["loss"]) == ("'=1+1", "'@x", "'-2", "-2.0")


def test_only_what_the_filter_finds_and_columns_once() -> None:
    make([{"name": "one", "spec": {"x": 1}}, {"name": "two", "spec": {"x": 2}}])
    found = csv_rows(["name", "params.x", "params.x", "id"], q="params.x = 2")
    assert found == [{"id": found[0]["id"], "name": "two", "params.x": "2"}]


def test_an_empty_table_is_a_head() -> None:
    make([])
    assert written("csv", ["loss"]) == b"id,name,loss\n"
    assert parquet.read_table(io.BytesIO(written("parquet", ["loss"]))).num_rows == 0


def test_more_runs_than_a_file_holds_are_refused_before_the_first_byte(monkeypatch) -> None:
    make([{}, {}, {}])
    monkeypatch.setattr(exporting, "MOST_RUNS", 2)
    with pytest.raises(Invalid, match="at most 2 runs"):
        export(table(scene.person()), order_of("id"), "id", [], "csv")
