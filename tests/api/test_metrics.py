"""Series as JSON, as files, and over many runs; numbers against numpy, scipy and pyarrow."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from tests.api.test_runs import external
from tests.api.world import World
from webapp.metrics import actions as metrics
from webapp.metrics.bands import curve, t_quantile, thinned
from webapp.runs import actions
from webapp.runs.models import Run


def body(response: Any) -> bytes:
    assert response.status_code == 200, response.content
    return b"".join(response.streaming_content)


def test_a_value_that_json_cannot_hold_is_spelled(world: World) -> None:
    run = external(world, "odd", loss=[1.0, float("nan"), float("inf"), float("-inf")])
    client = world.client("viewer")
    series = client.get(f"/api/v1/runs/{run.pk}/series?name=loss")
    assert series.json()["y"] == [1.0, "NaN", "Infinity", "-Infinity"]
    assert json.loads(series.content, parse_constant=pytest.fail)
    summary = client.get(f"/api/v1/runs/{run.pk}/metrics").json()["items"][0]
    assert (summary["last"], summary["mean"], summary["count"]) == ("-Infinity", 1.0, 4)


def test_a_series_keeps_its_spike_when_it_is_thinned_out(world: World) -> None:
    values = np.sin(np.arange(50_000) / 100)
    values[31_234] = 99.0
    run = external(world, "long", loss=values.tolist())
    series = world.client("viewer").get(f"/api/v1/runs/{run.pk}/series?name=loss&points=100").json()
    assert set(series) == {"name", "x_axis", "x", "y", "count", "decimated"}
    assert (series["count"], series["decimated"], len(series["x"]) <= 100) == (50_000, True, True)
    assert 99.0 in series["y"]
    part = world.client("viewer").get(f"/api/v1/runs/{run.pk}/series?name=loss&from=100&to=110").json()
    first = series["x"][0]
    assert part["x"] == list(range(100, 111))
    assert part["y"] == [values[x - first] for x in part["x"]]
    assert part["decimated"] is False


@pytest.mark.parametrize("axis", ["step", "time", "relative"])
def test_a_series_is_told_over_the_axis_that_was_asked_for(axis: str, world: World) -> None:
    series = world.client("viewer").get(f"/api/v1/runs/{world.external.pk}/series?name=loss&x={axis}").json()
    assert series["x_axis"] == axis
    assert len(series["x"]) == 2
    assert series["x"][1] - series["x"][0] == 1


def test_an_unknown_series_and_an_impossible_axis_are_named(world: World) -> None:
    client = world.client("viewer")
    for query, loc in (("name=nothing", "name"), ("name=loss&x=tokens", "x"), ("name=loss&x=miles", "x")):
        response = client.get(f"/api/v1/runs/{world.external.pk}/series?{query}")
        assert response.status_code == 422
        assert response.json()["errors"][0]["loc"] == [loc]


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_an_export_holds_every_point_as_it_was_logged(kind: str, world: World) -> None:
    values = [0.1, float("nan"), 1e-300, -2.5]
    run = actions.create_external(project=world.project, user=world.owner, name="out")
    metrics.log_external(run, {"a/b": {"step": [1, 2, 5, 9], "value": values, "time": [1.5, 2.5, 3.5, 4.5]}})
    response = world.client("viewer").get(f"/api/v1/runs/{run.pk}/export?name=a/b&format={kind}")
    assert response["Content-Disposition"] == f'attachment; filename="run-{run.pk}-a-b.{kind}"'
    content = body(response)
    rows = read(kind, content)
    assert [row["step"] for row in rows] == [1, 2, 5, 9]
    np.testing.assert_array_equal([float(row["value"]) for row in rows], values)
    assert [row["time"] for row in rows] == [1.5, 2.5, 3.5, 4.5]
    assert {row["name"] for row in rows} == {"a/b"}


def read(kind: str, content: bytes) -> list[dict[str, Any]]:
    if kind == "jsonl":
        return [json.loads(line) for line in content.splitlines()]
    if kind == "parquet":
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
        return rows
    types = {"name": str, "step": int, "value": float, "time": float}
    lines = csv.DictReader(io.StringIO(content.decode()))
    return [{key: types[key](text) for key, text in line.items()} for line in lines]


def test_an_export_without_names_holds_every_series(world: World) -> None:
    run = external(world, "two", a=[1.0], b=[2.0])
    rows = read("jsonl", body(world.client("viewer").get(f"/api/v1/runs/{run.pk}/export?format=jsonl")))
    assert [row["name"] for row in rows] == ["a", "b"]


def logged(world: World, name: str, steps: list[int], values: list[float], **fields: Any) -> Run:
    run = actions.create_external(project=world.project, user=world.owner, name=name, **fields)
    metrics.log_external(run, {"loss": {"step": steps, "value": values}})
    return run


def test_several_runs_stand_side_by_side(world: World) -> None:
    one, two = (logged(world, name, [1, 2], [1.0, 2.0]) for name in ("one", "two"))
    external(world, "without")
    items = world.client("viewer").get("/api/v1/series?project=alpha&name=loss").json()["items"]
    assert [(item["run"], item["run_name"], item["y"]) for item in items] == [
        (two.pk, "two", [1.0, 2.0]), (one.pk, "one", [1.0, 2.0]),
    ]  # fmt: skip


def test_a_band_is_the_mean_at_common_steps_of_each_group(world: World) -> None:
    logged(world, "a", [1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0], spec={"lr": 0.1})
    logged(world, "b", [2, 3, 4, 5], [4.0, 5.0, 9.0, 0.0], spec={"lr": 0.1})
    alone = logged(world, "c", [1], [7.0], spec={"lr": 0.2})
    query = "/api/v1/series?project=alpha&name=loss&group=spec.lr&band=std"
    pair, single = world.client("viewer").get(query).json()["items"]
    assert (pair["group"], pair["x"], pair["y"]) == ("0.1", [2, 3, 4], [3.0, 4.0, 6.5])
    widths = [np.std([2, 4], ddof=1), np.std([3, 5], ddof=1), np.std([4, 9], ddof=1)]
    np.testing.assert_allclose(pair["upper"], np.add(pair["y"], widths), rtol=1e-12)
    np.testing.assert_allclose(pair["lower"], np.subtract(pair["y"], widths), rtol=1e-12)
    assert (single["runs"], single["y"], single["lower"], single["upper"]) == ([alone.pk], [7.0], [7.0], [7.0])
    part = world.client("viewer").get(f"{query}&from=3&to=3").json()["items"][0]
    assert (part["x"], part["y"]) == ([3], [4.0])


def test_a_band_shows_no_run_of_others(world: World) -> None:
    logged(world, "a", [1], [1.0])
    assert world.client("stranger").get("/api/v1/series?name=loss&band=minmax").json()["items"] == []


@pytest.mark.parametrize("query", ["band=std&group=colour", "band=std&x=time", "band=often"])
def test_an_impossible_band_is_refused(query: str, world: World) -> None:
    logged(world, "a", [1], [1.0])
    assert world.client("owner").get(f"/api/v1/series?name=loss&{query}").status_code == 422


values = hnp.arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(1, 8)), elements=st.floats(-1e3, 1e3))


@given(values)
def test_bands_are_those_of_scipy(values: Any) -> None:
    steps = np.arange(values.shape[1])
    runs = [(steps, row) for row in values]
    mean, error = values.mean(axis=0), stats.sem(values, axis=0)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=np.maximum(error, 1e-300))
    found = curve(runs, "ci95")
    np.testing.assert_allclose(found.lower, low, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.upper, high, rtol=1e-9, atol=1e-9)
    extremes = curve(runs, "minmax")
    np.testing.assert_array_equal(extremes.lower, values.min(axis=0))
    np.testing.assert_array_equal(extremes.upper, values.max(axis=0))


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30, 199])
def test_students_quantile_is_that_of_scipy(freedom: int) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


def test_a_thinned_band_keeps_both_ends() -> None:
    long = curve([(np.arange(1000), np.arange(1000.0))], "std")
    short = thinned(long, 10)
    assert (len(short.steps) <= 24, short.steps[0], short.steps[-1]) == (True, 0, 999)
    np.testing.assert_array_equal(short.mean, short.steps)
