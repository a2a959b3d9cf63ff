from __future__ import annotations

import math

import pytest

from tests.charts.figures import validated
from tests.charts.sweeps.scene import log, make_run, make_sweep, make_trial
from webapp.charts.sweeps import curves, figure_of
from webapp.sweeps.states import TrialStatus


@pytest.mark.django_db
def test_the_best_are_in_colour_and_the_stopped_end_with_a_stroke() -> None:
    sweep = make_sweep(objective={"metric": "eval/accuracy", "goal": "maximize"})
    for number in range(1, 9):
        log(
            make_run(make_trial(sweep, number, [number / 10]), steps=20), {"eval/accuracy": {10: 0.05, 20: number / 10}}
        )
    stopped = make_trial(sweep, 9, [0.01], TrialStatus.STOPPED)
    log(make_run(stopped, steps=20), {"eval/accuracy": {10: 0.01}})
    data = curves.data(sweep)
    assert [line.trial for line in data.top] == [8, 7, 6, 5, 4]
    assert data.top[0].values.tolist() == [0.05, 0.8]
    assert {line.trial for line in data.others} == {1, 2, 3, 9}
    figure = figure_of("curves", sweep, {})
    validated(figure)
    drawn = {trace["name"]: trace for trace in figure["data"]}
    assert (drawn["stopped early"]["x"], drawn["stopped early"]["y"]) == ([10], [0.01])
    assert drawn["others"]["y"].count(None) == 4  # a gap after each
    assert [note["text"] for note in figure["layout"]["annotations"]] == [f"trial {n}" for n in (4, 5, 6, 7, 8)]


@pytest.mark.django_db
def test_seeds_are_one_curve_their_mean() -> None:
    sweep = make_sweep(seeds=2)
    trial = make_trial(sweep, 1, [2.0])
    log(make_run(trial, 0, steps=20), {"eval/loss": {10: 3.0, 20: 1.0}})
    log(make_run(trial, 1, steps=20), {"eval/loss": {10: 5.0, 20: 3.0}})
    assert curves.data(sweep).top[0].values.tolist() == [4.0, 2.0]


@pytest.mark.django_db
def test_many_trials_are_thinned_and_one_that_diverges_does_not_flatten_the_others() -> None:
    sweep = make_sweep()
    for number in range(1, 13):
        log(make_run(make_trial(sweep, number, [1.0]), steps=20), {"eval/loss": {10: 2.0, 20: 1.0}})
    bad = make_trial(sweep, 13, None, TrialStatus.DIVERGED)
    log(make_run(bad, steps=20), {"eval/loss": {5: 1e9, 6: math.nan, 7: math.inf}})
    data = curves.data(sweep)
    assert sum(len(line.values) for line in data.others if line.trial == 13) == 1
    low, high = curves.figure(data)["layout"]["yaxis"]["range"]
    assert low < 1
    assert 2 < high < 3
    assert validated(curves.figure(data))
    assert curves.figure(data)["layout"]["meta"]["caption"] == ""
