"""`hone.runs` and `hone.history`: what was logged comes back, with and without the libraries."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hone
from hone import HoneError
from tests.api.world import World
from webapp.metrics import actions as metrics
from webapp.runs import actions
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True)
VALUES = [0.1, math.nan, math.inf, -math.inf, 1e-300, 7.0]
NAME = 'eval/"loss", or so'


@pytest.fixture(autouse=True)
def ready(environment: Callable[[str], None], live_world: World) -> None:
    environment("viewer")


@pytest.fixture
def run(live_world: World) -> Run:
    spec = {"lr": 0.5, "model": {"layers": 2, "kind": "mlp"}, "seeds": [1, 2], "empty": {}}
    made = actions.create_external(project=live_world.project, user=None, name="read me", spec=spec, tags=["a"])
    steps = [0, 1, 5, 6, 7, 2**53]
    metrics.log_external(made, {NAME: {"step": steps, "value": VALUES, "time": [1.5, 2.25, 3, 4, 5, 6]}})
    metrics.log_external(made, {"last": {"value": ["NaN"]}, "acc": {"value": [1, 2]}})
    return made


def without(monkeypatch: pytest.MonkeyPatch, *libraries: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in libraries else find(name))


@pytest.mark.parametrize("missing", [(), ("pyarrow",)])
def test_a_history_is_every_point(missing: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, *missing)
    found = hone.history(run.pk, NAME)
    assert [column.dtype for column in found] == [np.int64, np.float64, np.float64]
    assert found.steps.tolist() == [0, 1, 5, 6, 7, 2**53]
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.times.tolist() == [1.5, 2.25, 3, 4, 5, 6]


@pytest.mark.parametrize("missing", [(), ("pyarrow",)])
def test_a_long_history_is_whole(missing: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, *missing)
    values = np.random.default_rng(0).normal(size=50_000)
    metrics.log_columns(run, {"long": metrics.external.Columns(None, values, None)})
    found = hone.history({"id": run.pk}, "long")
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_array_equal(found.steps, np.arange(50_000))


def test_what_is_not_there_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HoneError, match="no points of 'nothing'"):
        hone.history(run.pk, "nothing")
    with pytest.raises(HoneError, match="no run 999999"):
        hone.history(999_999, "loss")
    without(monkeypatch, "numpy")
    with pytest.raises(HoneError, match="pip install numpy"):
        hone.history(run.pk, NAME)


def test_runs_are_a_table(run: Run, live_world: World) -> None:
    _ = live_world.external
    frame = hone.runs(project="alpha", kind="external")
    assert isinstance(frame, pd.DataFrame) and len(frame) == 2
    row = frame.set_index("id").loc[run.pk]
    assert (row["name"], row["spec.lr"], row["spec.model.layers"], row["metric.acc"]) == ("read me", 0.5, 2, 2.0)
    assert math.isnan(row["metric.last"]) and row["tags"] == ["a"] and row["spec.seeds"] == [1, 2]
    assert row["spec.model.kind"] == "mlp" and "spec.kind" not in frame


def test_runs_without_pandas_are_dicts(run: Run, live_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "pandas")
    rows: Any = hone.runs("read me", limit=1)
    assert [row["id"] for row in rows] == [run.pk] and rows[0][f"metric.{NAME}"] == 7.0
    assert hone.runs("no such thing") == []
