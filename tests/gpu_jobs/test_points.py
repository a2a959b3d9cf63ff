"""Columns that are made of others: in whichever order a database gives them back."""

from __future__ import annotations

from pathlib import Path

from gpu_jobs.context import Context
from gpu_jobs.engine.laws.table import read
from gpu_jobs.methods.laws.chinchilla import Knobs
from gpu_jobs.points import TablePoints

COLUMNS = {"Model Size": [1e6, 2e6], "FLOP": [6e15, 6e16], "loss": [3.0, 2.5]}


def test_a_column_is_made_after_those_that_it_is_made_of() -> None:
    sorted_by_name = {"D": "FLOP / (6 * N)", "N": "`Model Size`"}
    points = TablePoints(columns=COLUMNS, compute=sorted_by_name)
    assert list(points.formulas) == ["N", "D"]
    table = read(points, Context(Path(), Path()), Knobs(name="chinchilla"), ["N", "D", "loss"])
    assert table.columns["D"].tolist() == [1e9, 5e9]  # FLOP / (6 N), by hand


def test_a_column_made_of_itself_replaces_the_sources_own() -> None:
    points = TablePoints(columns={**COLUMNS, "N": [1.0, 2.0]}, compute={"D": "FLOP / (6 * N)", "N": "N * 1e6"})
    table = read(points, Context(Path(), Path()), Knobs(name="chinchilla"), ["N", "D", "loss"])
    assert table.columns["N"].tolist() == [1e6, 2e6] and table.columns["D"].tolist() == [1e9, 5e9]


def test_columns_made_of_each_other_stay_as_they_were_given() -> None:
    assert list(TablePoints(columns=COLUMNS, compute={"b": "a + 1", "a": "b + 1"}).formulas) == ["b", "a"]
