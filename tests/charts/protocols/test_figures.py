"""What the charts of studies draw, point by point."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.protocols.study import Series, row
from webapp.charts import protocols as charts
from webapp.charts.protocols import apet_curve, dimension_search, lr_batch_grid, lr_sensitivity, parameter_front
from webapp.charts.protocols import optimizer_bench as bench
from webapp.charts.protocols import performance_profile as profile
from webapp.sweeps.protocols import algoperf, d90
from webapp.sweeps.protocols import apet_curve as apet
from webapp.sweeps.protocols import autopeft as front
from webapp.sweeps.protocols import lr_batch_grid as grid
from webapp.sweeps.protocols import lr_sensitivity as rates
from webapp.sweeps.protocols import method_comparison as methods
from webapp.sweeps.protocols import optimizer_bench as optimizers


def test_profiles_are_steps_with_their_scores() -> None:
    result = algoperf.Result(taus=[1, 2, 4], scores=[algoperf.Score(algorithm="a<b", score=0.75, profile=[0, 0.5, 1])])
    (trace,) = profile.figure(profile.data(result, algoperf.Knobs(name="algoperf")))["data"]
    assert (trace["x"], trace["y"], trace["line"]["shape"]) == ([1, 2, 4], [0, 0.5, 1], "hv")
    assert trace["name"] == "a&lt;b · B 0.750"


def test_losses_are_clipped_and_the_initial_loss_is_a_dotted_line() -> None:
    knobs = rates.Knobs(name="lr_sensitivity")
    told = {"train/loss": [5.0]}
    rows = [row({"optimizer.lr": 1e-3}, 2.0, metrics=told), row({"optimizer.lr": 1e-1}, 50.0, metrics=told),
            row({"optimizer.lr": 1.0}, None, metrics=told, status="diverged")]  # fmt: skip
    figure = lr_sensitivity.figure(lr_sensitivity.data(rates.analyse(knobs, rows, Series(), {}), knobs))
    (trace,), (shape,) = figure["data"], figure["layout"]["shapes"]
    assert (trace["x"], trace["y"]) == ([1e-3, 1e-1, 1.0], [2, 5, 5])
    assert trace["marker"]["symbol"] == ["circle", "circle", "circle-open"]
    assert shape["y0"] == shape["y1"] == 5
    assert figure["layout"]["xaxis"]["type"] == "log"


def test_the_grid_marks_its_best_cell_and_puts_what_is_off_it_at_the_rim() -> None:
    knobs = grid.Knobs(name="lr_batch_grid")
    cells = [grid.Cell(lr=lr, batch=b, tokens=1, loss=lr * b, gap=0, seeds=1) for lr in (0.1, 0.2) for b in (4, 8)]
    optima = [grid.Optimum(source="grid", lr=0.1, batch=4, loss=0.4),
              grid.Optimum(source="step law", lr=9.0, batch=5.656854, loss=None)]  # fmt: skip
    figure = lr_batch_grid.figure(lr_batch_grid.data(grid.Result(cells=cells, optima=optima), knobs))
    heat, best, law = figure["data"]
    assert heat["z"] == [[pytest.approx(0.4), pytest.approx(0.8)], [pytest.approx(0.8), pytest.approx(1.6)]]
    assert (best["x"], best["y"]) == ([0], [0])
    assert law["x"] == [pytest.approx(1.45)] and law["y"] == [pytest.approx(0.5, abs=1e-6)]


def test_structures_are_lines_over_the_count_with_full_and_chance_as_levels() -> None:
    knobs = apet.Knobs(name="apet_curve", chance=4.0)
    rows = [row({"method.name": name}, loss, trainable=count) for name, count, loss in
            (("lora", 100, 3.0), ("lora", 1000, 2.0), ("full", 9999, 1.5))]  # fmt: skip
    figure = apet_curve.figure(apet_curve.data(apet.analyse(knobs, rows, Series(), {}), knobs))
    (trace,) = figure["data"]
    assert (trace["x"], trace["y"]) == ([100, 1000], [3, 2])
    assert [shape["y0"] for shape in figure["layout"]["shapes"]] == [1.5, 4.0]
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["all weights", "chance"]


def test_the_front_is_a_line_of_steps_through_its_points() -> None:
    knobs = front.Knobs(name="autopeft")
    rows = [row({"method.rank": n}, loss, trainable=count) for n, (loss, count) in
            enumerate([(3.0, 10), (2.0, 100), (2.5, 1000)])]  # fmt: skip
    figure = parameter_front.figure(parameter_front.data(front.analyse(knobs, rows, Series(), {}), knobs))
    line, dominated, on_front = figure["data"]
    assert (line["x"], line["y"]) == ([10, 100], [3, 2])
    assert dominated["x"] == [1000] and on_front["x"] == [10, 100]
    assert "2 of 3 trials on the front" in figure["layout"]["meta"]["caption"]


def test_flips_are_said_and_speedups_stand_at_their_points() -> None:
    line = {"size": "", "middle_loss": None, "rank": 1, "middle_rank": None, "params": {}, "steps": 1}
    result = optimizers.Result(
        lines=[optimizers.Line(optimizer="adamw", loss=3, tokens=100, speedup=None, **line),
               optimizers.Line(optimizer="muon", loss=2, tokens=1000, speedup=1.4, **line)],
        flips=[optimizers.Flip(size="", steps=1, ahead_in_the_middle="adamw", ahead_at_the_end="muon")],
    )  # fmt: skip
    figure = bench.figure(bench.data(result, optimizers.Knobs(name="optimizer_bench")))
    (note,) = figure["layout"]["annotations"]
    assert (note["text"], note["x"], note["y"]) == ("1.40x", pytest.approx(3), 2)
    assert "muon overtook adamw" in figure["layout"]["meta"]["caption"]


def test_a_dimension_that_was_not_found_is_said_not_to_be() -> None:
    point: dict[str, Any] = {"trainable": 1, "score": 1.0, "seeds": 1, "reached": False}
    result = d90.Result(points=[d90.Point(dimension=4, share=0.5, **point)], next=[])
    figure = dimension_search.figure(dimension_search.data(result, d90.Knobs(name="d90")))
    assert figure["layout"]["meta"]["caption"] == "not found"
    assert len(figure["layout"]["shapes"]) == 1  # the target alone


def test_charts_are_found_by_their_protocol() -> None:
    assert [chart.name for chart in charts.charts_of("algoperf")] == ["performance_profile"]
    assert charts.charts_of("nothing") == []


def test_methods_stand_at_their_costs_with_intervals_the_front_and_both_levels() -> None:
    knobs = methods.Knobs(name="method_comparison")
    before = {"before": {"eval/loss": 4.0}}
    told = [("full", 100, (1.0, 1.2)), ("lora", 10, (1.5, 1.5)), ("a<b", 20, (2.0, 2.0))]
    rows = [row({"method.name": name}, loss, seed=seed, trial=place, trainable=count, total=100, result=before)
            for place, (name, count, losses) in enumerate(told) for seed, loss in enumerate(losses)]  # fmt: skip
    result = methods.analyse(knobs, rows, Series(), {})
    figure = charts.figure_of("method_share", result, knobs)
    edge, others, front = figure["data"]
    assert (edge["x"], edge["y"]) == ([10, 100], [1.5, pytest.approx(1.1)])  # percent
    assert (others["x"], others["y"], others["customdata"][0][0]) == ([20], [2.0], "a&lt;b")
    # Student's t with one degree of freedom, 12.706, times .1
    assert front["error_y"]["array"] == [0.0, pytest.approx(1.2706, abs=1e-4)]
    assert "full fine-tuning" in [shape["label"]["text"] for shape in figure["layout"]["shapes"]]
    assert "base 4 lies beyond" in figure["layout"]["meta"]["caption"]
    assert figure["layout"]["xaxis"]["type"] == "log"
    energy = charts.figure_of("method_energy", result, knobs)
    assert energy["layout"]["annotations"][0]["text"] == "No method has a score and a measured energy yet."
    assert [chart.name for chart in charts.charts_of("method_comparison")][:2] == ["method_share", "method_stored"]
