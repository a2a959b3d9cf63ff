"""Curves of pruning as they are drawn: their points, bands, horizontals and where they cross."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts.figures import validated
from tests.sweeps.protocols.pruning import DENSE, WEIGHTS, pruned
from tests.sweeps.protocols.study import Series
from webapp.charts import protocols as charts
from webapp.sweeps.protocols import sparsity_accuracy as protocol
from webapp.sweeps.protocols.sparsity_accuracy import Knobs

SHARES = [0.2, 0.4, 0.8]


def drawn(chart: str, *, retrain: Any = "base", **options: Any) -> dict[str, Any]:
    knobs = Knobs(name="sparsity_accuracy", retrain=retrain)
    rows = [
        pruned("a<b", share, 0.1 * share + 0.001 * seed, seed=seed, **options) for share in SHARES for seed in (0, 1)
    ]
    figure = charts.figure_of(chart, protocol.analyse(knobs, rows, Series(), {}), knobs)
    validated(figure)
    return figure


def test_a_line_begins_at_dense_and_crosses_what_is_tolerated_at_its_mark() -> None:
    band, line, mark = drawn("sparsity_curve")["data"]
    assert line["x"] == [0, pytest.approx(0.2), pytest.approx(0.4), pytest.approx(0.8)]
    assert line["y"][0] == DENSE and line["y"][-1] == pytest.approx(DENSE * 1.0805)
    assert line["name"] == "a&lt;b"
    assert len(band["x"]) == 2 * len(line["x"]) and band["fill"] == "toself"
    assert mark["y"] == [pytest.approx(1.01 * DENSE)]
    assert mark["x"][0] == pytest.approx(0.2 * 0.01 / 0.0205)


def test_dense_and_tolerance_are_named_lines() -> None:
    shapes = drawn("sparsity_curve")["layout"]["shapes"]
    assert [(shape["label"]["text"], shape["y0"]) for shape in shapes] == [
        ("dense", DENSE), ("1 % worse", pytest.approx(1.01 * DENSE)),
    ]  # fmt: skip


def test_without_and_with_retraining_are_one_colour_dashed_and_solid() -> None:
    figure = drawn("sparsity_curve", retrain="both", retrained=0.0)
    lines = [trace for trace in figure["data"] if trace.get("mode") == "lines+markers"]
    assert {line["line"]["dash"] for line in lines} == {"dash", "solid"}
    assert len({line["line"]["color"] for line in lines}) == 1
    assert [line["showlegend"] for line in lines if line["line"]["dash"] == "dash"] == [False]
    assert "dashed: not retrained" in figure["layout"]["meta"]["caption"]


def test_sizes_are_axes_of_their_own() -> None:
    left = next(trace for trace in drawn("sparsity_nonzero")["data"] if trace.get("mode") == "lines+markers")
    assert left["x"] == [pytest.approx(WEIGHTS * share) for share in (0.2, 0.6, 0.8, 1.0)]
    file = next(trace for trace in drawn("sparsity_bytes")["data"] if trace.get("mode") == "lines+markers")
    assert set(file["x"]) == {4.0 * WEIGHTS}


def test_its_charts_stand_in_order() -> None:
    names = [chart.name for chart in charts.charts_of("sparsity_accuracy")]
    assert names == ["sparsity_curve", "sparsity_nonzero", "sparsity_bytes"]
