"""What the charts of fits draw: the law's own numbers, checked against its equations."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from gpu_jobs.methods.laws import step_law
from tests.charts.figures import validated
from tests.charts.scaling import fits
from webapp.accounts.errors import Invalid
from webapp.charts import scaling as charts
from webapp.charts.scaling import (
    compare,
    compare_difference,
    compare_parameters,
    corner,
    curve,
    drawing,
    frontier,
    holdout,
    isoflop,
    later,
    loss_compute,
    lr_batch,
    residuals,
)
from webapp.scaling.reading import Reading

MADE: list[Callable[[], Reading]] = [fits.ladder, fits.kaplan, fits.power, fits.streams, fits.slices, fits.rates]


def chinchilla(reading: Reading, size: Any, tokens: Any) -> Any:
    p = reading.parameters
    return p["E"] + p["A"] / size ** p["alpha"] + p["B"] / tokens ** p["beta"]


@pytest.mark.parametrize("make", MADE)
def test_every_chart_of_a_law_is_a_valid_figure(make: Callable[[], Reading]) -> None:
    reading = make()
    for chart in charts.charts_of(reading):
        for option in charts.options_of(chart.name, reading) or [None]:
            for choice in option.choices if option else [None]:
                asked = {option.name: choice.value} if option and choice else {}
                figure = charts.figure_of(chart.name, reading, **asked)
                validated(figure)
                assert figure["data"][-1].get("x"), chart.name  # none of them is empty here
                assert figure["layout"]["meta"]["caption"], chart.name


def test_each_law_has_the_charts_that_it_can_fill() -> None:
    def names(reading: Reading) -> list[str]:
        return [chart.name for chart in charts.charts_of(reading)]

    assert names(fits.ladder()) == [
        "loss_compute", "curve", "isoflop", "frontier", "residuals", "holdout", "corner",
    ]  # fmt: skip
    assert names(fits.power()) == ["loss_compute", "residuals", "corner"]
    assert names(fits.streams()) == ["curve", "residuals", "corner"]
    assert names(fits.slices()) == ["curve", "isoflop", "frontier", "residuals"]
    assert "lr_batch" in names(fits.rates()) and "loss_compute" not in names(fits.rates())


def test_the_line_over_compute_is_the_least_loss_of_each_budget() -> None:
    reading = fits.ladder()
    found = loss_compute.data(reading, until="1e22", by="N")
    assert found.x[-1] == pytest.approx(1e22)
    best = reading.optimum(found.x)
    assert best is not None
    assert found.value == pytest.approx(chinchilla(reading, best.N, best.D))
    for factor in (0.9, 1.1):  # any other split is worse
        assert (found.value < chinchilla(reading, factor * best.N, best.D / factor)).all()
    assert (found.low <= found.value).mean() > 0.9 and (found.value <= found.high).mean() > 0.9
    assert found.measured.tolist() == reading.result["points"]["columns"]["loss"]
    assert found.compute == pytest.approx(6 * reading.points["N"] * reading.points["D"])


def test_the_points_are_runs_and_those_held_out_are_ringed_with_their_intervals() -> None:
    reading = fits.ladder()
    figure = charts.figure_of("loss_compute", reading)
    points = next(trace for trace in figure["data"] if trace["name"] == "points")
    rings = next(trace for trace in figure["data"] if trace["name"] == "held out")
    bars = next(trace for trace in figure["data"] if trace["name"] == "foreseen")
    assert points["meta"] == rings["meta"] == {"points": "runs"}
    assert {row[0] for row in points["customdata"]} | {row[0] for row in rings["customdata"]} == set(range(101, 125))
    assert re.match(r"run 101: N 27\.4M, D .*loss", points["customdata"][0][1])
    held = reading.result["holdout"]["points"]
    assert rings["y"] == [each["measured"] for each in held]
    assert rings["x"] == [pytest.approx(6 * each["at"]["N"] * each["at"]["D"]) for each in held]
    tops = np.array(bars["y"]) + bars["error_y"]["array"]
    assert tops == pytest.approx([each["interval"][1] for each in held])
    assert figure["layout"]["yaxis"]["title"]["text"] == "eval/loss"  # as the fit was asked for


def test_a_law_without_a_formula_for_it_has_its_best_size_searched_for() -> None:
    """Kaplan's L(N, D): of equal compute no size near the one found has less loss."""
    reading = fits.kaplan()
    found = loss_compute.data(reading, until="1e21", by="N")
    sizes = np.geomspace(1e5, 1e12, 4001)
    for compute, value in zip(found.x[::20], found.value[::20], strict=True):
        assert value == pytest.approx(reading.predict({"N": sizes, "D": compute / (6 * sizes)}).min(), rel=1e-5)
    assert "searched for" in found.words[0]


def test_a_law_of_compute_alone_is_drawn_over_it() -> None:
    reading = fits.power()
    found = loss_compute.data(reading, until="1e22")
    p = reading.parameters
    assert found.value == pytest.approx(p["E"] + p["c"] * found.x ** -p["a"])
    assert found.by is None


def test_slices_have_the_laws_curve_and_its_least_point() -> None:
    reading = fits.ladder()
    found = isoflop.data(reading).slices
    assert [len(one.sizes) for one in found] == [fits.SIZES] * 3 + [fits.SIZES - 2]  # two are held out
    for one in found:
        assert one.curve == pytest.approx(chinchilla(reading, one.x, one.budget / (6 * one.x)))
        assert one.least <= one.curve.min()
        assert one.low < one.best < one.high


def test_parabolas_go_through_the_points_that_they_were_fitted_to() -> None:
    reading = fits.slices()
    found = isoflop.data(reading).slices
    assert [one.best for one in found] == pytest.approx(reading.through["N_opt"])
    for one in found:
        x = np.log(one.sizes)
        own = np.polynomial.Polynomial.fit(x, one.measured, 2)
        assert one.curve == pytest.approx(own(np.log(one.x)), rel=1e-9)
        assert one.least == pytest.approx(own(own.deriv().roots()[0]))


def test_windows_hold_equal_budgets_apart() -> None:
    compute = np.array([1.0, 1.1, 1.2, 1.05, 9.0, 10.0, 10.5, 9.5, 100.0])
    found = isoflop.windows(compute, np.arange(9.0))
    assert [sorted(rows.tolist()) for rows in found] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert isoflop.windows(compute, np.ones(9)) == []  # one size is no slice


def test_the_frontier_spends_its_budget_where_both_terms_gain_the_same() -> None:
    """C = 6 N D, and alpha A N^-alpha = beta B D^-beta: the first-order condition along equal compute."""
    reading = fits.ladder()
    found = frontier.data(reading, budget="3e21")
    line, p = found.line, reading.parameters
    assert pytest.approx(line.compute) == 6 * line.N * line.D
    assert p["alpha"] * p["A"] * line.N ** -p["alpha"] == pytest.approx(p["beta"] * p["B"] * line.D ** -p["beta"])
    assert found.chosen.loss[0] == pytest.approx(chinchilla(reading, found.chosen.N[0], found.chosen.D[0]))
    assert (line.N_low < line.N).all() and (line.N_high > line.N).all()
    said = charts.figure_of("frontier", reading, budget="3e21")["layout"]["meta"]["caption"]
    assert said.startswith(f"3e21 FLOPs: N {drawing.amount(found.chosen.N[0])} (")
    assert f"loss {found.chosen.loss[0]:.4g}" in said


def test_a_budget_that_is_no_positive_number_is_refused() -> None:
    for budget in ("-1", "0", "nan", "inf", "much"):
        with pytest.raises(Invalid, match="positive number"):
            charts.figure_of("frontier", fits.ladder(), budget=budget)
    with pytest.raises(Invalid, match="no option 'colour'"):
        charts.figure_of("loss_compute", fits.ladder(), colour="N")
    with pytest.raises(Invalid, match="must be one of N, D"):
        charts.figure_of("loss_compute", fits.ladder(), by="loss")
    with pytest.raises(KeyError):
        charts.figure_of("pie", fits.ladder())


def test_residuals_are_logarithms_and_the_largest_are_named() -> None:
    reading = fits.ladder()
    found = residuals.data(reading, by="D")
    points = reading.points
    expected = np.log(points["loss"] / chinchilla(reading, points["N"], points["D"]))
    assert found.residuals == pytest.approx(expected, abs=1e-12)
    assert found.x.tolist() == points["D"].tolist()
    worst = int(np.argmax(np.abs(expected)))
    named = [label["text"] for label in residuals.figure(found)["layout"]["annotations"]]
    assert len(named) == residuals.NAMED and named[0] == f"run {reading.runs[worst]}"  # type: ignore[index]
    assert residuals.data(reading, by="predicted").x == pytest.approx(chinchilla(reading, points["N"], points["D"]))


def test_the_corner_counts_every_draw_and_marks_the_optimum() -> None:
    reading = fits.ladder()
    found = corner.data(reading)
    assert [side.name for side in found.sides] == ["E", "A", "B", "alpha", "beta"]
    for side in found.sides:
        assert side.counts.sum() == len(side.draws) == 200
        assert side.edges[0] < side.best < side.edges[-1]
        assert (side.low, side.high) == tuple(reading.result["intervals"][side.name][end] for end in ("low", "high"))
    figure = corner.figure(found)
    assert len({trace["xaxis"] for trace in figure["data"]}) == 15  # 5 alone and 10 pairs
    crosses = [trace for trace in figure["data"] if trace["name"] == "optimum" and trace["mode"] == "markers"]
    assert len(crosses) == 10
    assert {trace["x"][0] for trace in crosses} == {reading.parameters[name] for name in ("E", "A", "B", "alpha")}


def test_without_draws_the_corner_says_why() -> None:
    figure = corner.figure(corner.data(fits.slices()))
    assert "no resamples" in figure["layout"]["annotations"][0]["text"]


def test_the_law_along_one_variable_holds_the_others_at_a_points_own_value() -> None:
    reading = fits.streams()
    assert [choice.value for choice in curve.options(reading)[0].choices] == ["P", "N"]
    found = curve.data(reading, over="P")
    held = np.sort(reading.points["N"])[len(reading.points["N"]) // 2]
    p = reading.parameters
    worth = held * (p["k"] * np.log(found.x) + 1)
    assert found.value == pytest.approx(p["E"] + (p["A"] / worth) ** p["alpha"])
    assert len(found.measured) == 4 and found.total == 20  # each number of streams once at that N
    assert "4 of 20 points lie near" in curve.figure(found)["layout"]["meta"]["caption"]


def test_held_out_points_stand_at_what_was_measured_and_foreseen() -> None:
    reading = fits.ladder()
    found = holdout.data(reading)
    told = reading.result["holdout"]
    held = found.groups[0].held
    assert held.predicted.tolist() == [point["predicted"] for point in told["points"]]
    assert held.predicted / held.measured - 1 == pytest.approx([point["relative_error"] for point in told["points"]])
    assert found.words[1] == f"{sum(point['inside'] for point in told['points'])} of 2 inside their intervals"


class Numbered(NamedTuple):
    number: int


def test_later_measurements_stand_beside_what_their_revision_foresaw() -> None:
    reading = fits.ladder()
    at = {"N": 1e9, "D": 5e10}
    one = Numbered(1)
    found = later.data({one: reading}, [(one, 300, at, 2.4), (Numbered(9), 301, at, 2.5)])
    expected = reading.foreseen(at)
    assert [group.name for group in found.groups] == ["revision 1"]  # 9 has no reading
    held = found.groups[0].held
    assert (held.measured[0], held.predicted[0]) == (2.4, expected.value[0])
    assert (held.low[0], held.high[0]) == (expected.interval_low[0], expected.interval_high[0])
    assert held.told[0][0] == 300
    validated(later.figure(found))
    assert "Nothing has been measured" in later.figure(later.data({}, []))["layout"]["annotations"][0]["text"]


def test_the_contour_has_the_runs_of_one_setting_and_the_laws_rate() -> None:
    reading = fits.rates()
    found = lr_batch.data(reading, setting="0")
    assert len(found.loss) == 15 and found.surface is not None and found.optimum is not None
    size, tokens = (reading.spec.points.columns[name][found.rows[0]] for name in ("N", "D"))
    assert found.optimum.value == pytest.approx(step_law.learning_rate(size, tokens), rel=1e-6)  # made by that law
    assert found.rate[np.argmin(found.loss)] == pytest.approx(found.optimum.value, rel=1e-6)
    validated(lr_batch.figure(found))


def test_a_contour_without_its_columns_says_which_are_missing() -> None:
    table = {"N": [1e8, 1e9, 1e8, 1e9, 3e8], "D": [1e9, 1e10, 1e10, 1e11, 1e10], "lr": [2e-3, 1e-3, 4e-3, 2e-3, 2e-3]}
    spec = fits.spec_of(table, law={"name": "step_law"}, bootstrap={"resamples": 0})
    figure = charts.figure_of("lr_batch", fits.made(spec))
    assert "no column 'batch'" in figure["layout"]["annotations"][0]["text"]


def test_two_laws_are_drawn_over_the_same_compute() -> None:
    both = {"<b>first": fits.ladder(), "second": fits.kaplan()}
    found = compare.data(both)
    for line, reading in zip(found.lines, both.values(), strict=True):
        assert line.value == pytest.approx(reading.predict(compare.at(reading, "C", found.x)))
    assert [name for name, chart in charts.comparisons().items() if chart.module.compares(both)] == [
        "compare", "compare_difference", "compare_parameters",
    ]  # fmt: skip
    for name in charts.comparisons():
        validated(charts.comparison_of(name, both))
    assert "&lt;b&gt;first" in str(compare.figure(found)) and "<b>first" not in str(compare.figure(found))


def test_the_difference_is_relative_to_the_first_and_nothing_for_the_same_fit() -> None:
    one, other = fits.ladder(), fits.kaplan()
    found = compare_difference.data({"a": one, "b": other})
    sides = [reading.predict(compare.at(reading, "C", found.x)) for reading in (other, one)]
    assert found.gaps[0].value == pytest.approx(sides[0] / sides[1] - 1)
    same = compare_difference.data({"a": one, "b": one}).gaps[0]
    assert not same.value.any() and not same.low.any() and not same.high.any()  # what both share cancels


def test_laws_that_explain_different_things_are_not_drawn_together() -> None:
    both = {"a": fits.ladder(), "b": fits.rates()}
    assert not compare.compares(both) and not compare_difference.compares(both)
    assert "different things" in compare.figure(compare.data(both))["layout"]["annotations"][0]["text"]


def test_only_parameters_of_one_meaning_stand_side_by_side() -> None:
    one = fits.ladder()
    found = compare_parameters.data({"a": one, "b": one}).parameters
    assert set(found) == {"E", "A", "B", "alpha", "beta", "a", "b", "G"}
    told = one.result["intervals"]["alpha"]
    assert found["alpha"][0] == ("a", one.parameters["alpha"], told["low"], told["high"])
    assert "a" not in compare_parameters.data({"a": one, "b": fits.power()}).parameters  # an exponent of another kind
    mixed = compare_parameters.data({"a": one, "b": fits.streams()}).parameters
    assert set(mixed) == {"E", "alpha"}  # A is a coefficient here and a scale there


def test_axes_have_few_ticks_that_are_in_their_range() -> None:
    for low, high in [(1e17, 1e24), (2.1, 2.9), (3e7, 4e8), (0.001, 0.5), (1.0, 1.001), (1e14, 3e14)]:
        axis = drawing.log_axis(low, high)
        assert 2 <= len(axis["tickvals"]) <= drawing.MOST_TICKS
        assert all(low * 0.999 <= value <= high * 1.001 for value in axis["tickvals"])
    assert drawing.log_axis(1e17, 1e20)["ticktext"] == [f"10<sup>{power}</sup>" for power in (17, 18, 19, 20)]
