from __future__ import annotations

import numpy as np
import pytest

from tests.charts.figures import validated
from tests.charts.sweeps.scene import log, make_run, make_sweep, make_trial
from webapp.charts.sweeps import figure_of, options_of, pareto
from webapp.charts.sweeps.measures import Measure, measure
from webapp.runs.states import Status
from webapp.sweeps.states import TrialStatus
from webapp.sweeps.statistics import interval

RANDOM = np.random.default_rng(0)


def measures(values: np.ndarray, goals: list[float]) -> list[Measure]:
    return [measure(f"m{k}", goal, [[v] for v in values[:, k].tolist()]) for k, goal in enumerate(goals)]


@pytest.mark.parametrize("goals", [[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [1.0, -1.0, 1.0]])
def test_the_front_is_what_no_other_trial_dominates(goals: list[float]) -> None:
    values = RANDOM.integers(0, 12, (150, len(goals))).astype(float)  # many ties
    losses = values * goals
    by_hand = [not any((q <= p).all() and (q < p).any() for q in losses) for p in losses]
    assert pareto.of(np.arange(150), measures(values, goals)).is_front.tolist() == by_hand


@pytest.mark.parametrize("goals", [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
def test_the_steps_separate_what_is_dominated(goals: list[float]) -> None:
    """Walking from the best x to the worst, y only gets better, and no trial is better than a corner of the steps."""
    values = RANDOM.uniform(size=(100, 2))
    figure = pareto.figure(pareto.of(np.arange(100), measures(values, goals)))
    line = figure["data"][0]
    assert line["line"]["shape"] == "hv"
    x, y = goals[0] * np.array(line["x"]), goals[1] * np.array(line["y"])
    assert (np.diff(x) > 0).all()
    assert (np.diff(y) < 0).all()
    corners = zip(x[1:], y[:-1], strict=True)
    losses = values * goals
    assert not any(((losses[:, 0] < a - 1e-12) & (losses[:, 1] < b - 1e-12)).sum() for a, b in zip(x, y, strict=True))
    assert all(((losses[:, 0] <= a) & (losses[:, 1] <= b)).any() for a, b in corners)


def test_three_measures_have_no_line_but_a_colour() -> None:
    values = RANDOM.uniform(size=(50, 3))
    figure = pareto.figure(pareto.of(np.arange(50), measures(values, [1.0, 1.0, -1.0])))
    assert [trace["mode"] for trace in figure["data"]] == ["markers", "markers"]
    assert figure["data"][0]["marker"]["reversescale"] is True
    validated(figure)


def test_seeds_give_the_front_bars_of_their_interval() -> None:
    samples = [[1.0, 1.2, 1.1], [3.0, 3.1, 3.2]]
    found = [measure("loss", 1.0, samples), measure("size", 1.0, [[5.0], [6.0]])]
    figure = pareto.figure(pareto.of(np.array([1, 2]), found))
    front = next(trace for trace in figure["data"] if trace["name"] == "front")
    expected = interval(samples[0])
    assert front["x"] == [pytest.approx(1.1)]
    assert expected.high is not None
    assert front["error_x"]["array"] == [pytest.approx(expected.high - 1.1)]
    assert front["error_y"]["visible"] is False


@pytest.mark.django_db
def test_facts_results_and_metrics_of_runs_may_be_axes() -> None:
    sweep = make_sweep()
    for number, (loss, size) in enumerate([(3.0, 100), (2.0, 200), (2.5, 300)], 1):
        trial = make_trial(sweep, number, [loss])
        for seed, off in enumerate((-0.1, 0.1)):
            run = make_run(trial, seed, values=[loss + off], facts={"parameters": {"trainable": size}},
                           result={"memory": {"peak_bytes": size * 2**30}})  # fmt: skip
            log(run, {"eval/loss": {10: loss}, "eval/latency_ms": {10: 1000.0 / size}})
    stopped = make_trial(sweep, 4, [0.1], TrialStatus.STOPPED)
    make_run(stopped, values=[0.1], status=Status.CANCELLED, facts={"parameters": {"trainable": 1}})
    data = pareto.data(sweep, x="trainable", y="0", colour="memory")
    assert data is not None
    assert data.numbers.tolist() == [1, 2, 3]
    np.testing.assert_allclose([one.values for one in data.measures], [[100, 200, 300], [3, 2, 2.5], [100, 200, 300]])
    assert data.is_front.tolist() == [True, True, False]
    assert ("metric:eval/latency_ms", "eval/latency_ms") in options_of("pareto", sweep)[0].choices
    figure = validated(figure_of("pareto", sweep, {"x": "metric:eval/latency_ms", "y": "0", "x_goal": "maximize"}))
    assert figure.layout.meta["caption"].startswith("2 on the front · better is more x, less y")


@pytest.mark.django_db
def test_imported_trials_have_values_and_no_runs() -> None:
    sweep = make_sweep(objective=[{"metric": "a"}, {"metric": "b", "goal": "maximize"}])
    make_trial(sweep, 1, [1.0, 2.0], source="imported")
    make_trial(sweep, 2, [2.0, 1.0], source="imported")
    data = pareto.data(sweep, x="1", y="0")
    assert data is not None
    assert data.is_front.tolist() == [True, False]


@pytest.mark.django_db
def test_the_same_measure_twice_is_refused_in_words() -> None:
    figure = figure_of("pareto", make_sweep(), {"x": "0", "y": "0"})
    assert figure["layout"]["annotations"][0]["text"] == "Both axes are the same: choose two."
