from __future__ import annotations

import pytest
from scipy import stats

from tests.charts.figures import validated
from tests.charts.sweeps.scene import definition, make_run, make_sweep, make_trial
from webapp.charts.sweeps import charts_of, figure_of, seeds


@pytest.mark.django_db
def test_tuning_and_test_seeds_are_told_apart_with_their_intervals() -> None:
    sweep = make_sweep(seeds={"tune": 3, "test": 2, "confidence": 0.9})
    for number, values in ((1, [2.0, 2.2, 2.4]), (2, [1.0, 1.1, 1.2])):
        trial = make_trial(sweep, number, [sum(values) / 3])
        for seed, value in enumerate(values):
            make_run(trial, seed, values=[value])
    for seed, value in ((10_000, 1.5), (10_001, 1.7)):
        make_run(trial, seed, role="test", values=[value])
    data = seeds.data(sweep)
    assert data.trials == [2, 1]
    assert [(strip.row, strip.trial, strip.role, strip.values) for strip in data.strips] == [
        (0, 2, "tune", [1.0, 1.1, 1.2]), (0, 2, "test", [1.5, 1.7]), (1, 1, "tune", [2.0, 2.2, 2.4]),
    ]  # fmt: skip
    low, high = stats.t.interval(0.9, 2, loc=1.1, scale=stats.sem([1.0, 1.1, 1.2]))
    assert data.strips[0].interval[:3] == (pytest.approx(1.1), pytest.approx(low), pytest.approx(high))
    figure = figure_of("seeds", sweep, {})
    validated(figure)
    means = next(trace for trace in figure["data"] if trace["name"].startswith("test") and "error_x" in trace)
    assert means["x"] == [pytest.approx(1.6)]
    assert 0 < means["y"][0] < 1  # beside its own trial's tuning seeds, not on them


@pytest.mark.django_db
@pytest.mark.parametrize(("goal", "first"), [("minimize", 1), ("maximize", 30)])
def test_only_the_best_are_shown_whatever_the_goal(goal: str, first: int) -> None:
    sweep = make_sweep(seeds=2, objective={"metric": "eval/x", "goal": goal})
    for number in range(1, 31):
        make_run(make_trial(sweep, number, [float(number)]), values=[float(number)])
    data = seeds.data(sweep)
    assert len(data.trials) == seeds.TOP
    assert data.trials[0] == first
    validated(seeds.figure(data))


def test_it_applies_where_there_are_several_seeds() -> None:
    assert "seeds" not in [chart.name for chart in charts_of(definition(seeds=1))]
    assert "seeds" in [chart.name for chart in charts_of(definition(seeds=3))]
    assert "seeds" in [chart.name for chart in charts_of(definition(seeds={"tune": 1, "test": 2}))]
