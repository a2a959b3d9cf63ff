from __future__ import annotations

import math

import numpy as np
import pytest

from tests.charts.figures import is_shown_in_every_figure, validated
from tests.charts.sweeps.scene import make_run, make_sweep, make_trial
from webapp.charts.sweeps import best_so_far, figure_of
from webapp.charts.sweeps.trials import TrialRow, columns
from webapp.sweeps.states import TrialStatus

RANDOM = np.random.default_rng(0)


def trials(values: list[float | None], statuses: dict[int, str] | None = None) -> object:
    told = statuses or {}
    return columns(
        [TrialRow(n, {}, told.get(n, "succeeded"), None if v is None else [v]) for n, v in enumerate(values, 1)]
    )


@pytest.mark.parametrize("goal", [1.0, -1.0])
def test_the_stairs_are_the_best_of_all_trials_up_to_there(goal: float) -> None:
    values = RANDOM.normal(size=200)
    data = best_so_far.of(trials(values.tolist()), np.arange(1.0, 201), "eval/loss", goal)
    best = min if goal > 0 else max
    assert data.stairs_y.tolist() == [best(values[: i + 1]) for i in range(200)]
    assert data.best == int(np.argmin(goal * values))


def test_only_trials_that_succeeded_are_steps() -> None:
    found = trials([3.0, 1.0, 2.0, None], {2: TrialStatus.STOPPED, 4: TrialStatus.FAILED})
    data = best_so_far.of(found, np.arange(1.0, 5), "eval/loss", 1.0)
    assert data.best == 2
    assert list(zip(data.stairs_x, data.stairs_y, strict=True)) == [(1, 3), (3, 2), (4, 2)]


def test_a_state_is_told_by_its_symbol_and_failed_trials_stand_at_the_rim() -> None:
    found = trials(
        [3.0, 2.5, 2.0, None, None], {2: TrialStatus.STOPPED, 4: TrialStatus.DIVERGED, 5: TrialStatus.RUNNING}
    )
    figure = best_so_far.figure(best_so_far.of(found, np.arange(1.0, 6), "a<b>", 1.0))
    assert is_shown_in_every_figure(figure)
    drawn = {trace["name"]: trace for trace in figure["data"]}
    assert drawn["succeeded"]["x"] == [1, 3]
    assert drawn["stopped early"]["x"] == [2]
    assert drawn["failed"]["x"] == [4]
    assert drawn["failed"]["y"][0] > 3.0
    assert figure["layout"]["yaxis"]["title"]["text"] == "a&lt;b&gt;"


def test_a_value_far_off_does_not_flatten_the_others() -> None:
    figure = best_so_far.figure(best_so_far.of(trials([1.0, 1.1, 1.2, 1.3, 1e6]), np.arange(1.0, 6), "eval/loss", 1.0))
    low, high = figure["layout"]["yaxis"]["range"]
    assert 0 < low < 1
    assert high < 10
    far = next(trace for trace in figure["data"] if trace["name"] == "far off")
    assert low < far["y"][0] < high
    assert far["customdata"] == [[5, "succeeded", "1e+06"]]


def test_thousands_of_trials_are_thinned_and_the_best_stays() -> None:
    values = RANDOM.normal(size=10_000)
    figure = best_so_far.figure(best_so_far.of(trials(values.tolist()), np.arange(1.0, 10_001), "eval/loss", 1.0))
    dots = sum(len(trace["x"]) for trace in figure["data"] if trace["name"] in ("succeeded", "far off"))
    assert 900 < dots <= best_so_far.MOST_DOTS + 1
    assert figure["layout"]["meta"]["caption"].endswith("of 10,000 trials drawn")
    assert figure["data"][-1]["y"] == [values.min()]


@pytest.mark.django_db
def test_hours_and_costs_are_those_when_the_trial_was_over() -> None:
    sweep = make_sweep()
    for number in (1, 2, 3):
        trial = make_trial(sweep, number, [4.0 - number])
        make_run(trial, values=[4.0 - number], began=100 * (number - 1), ended=100 * number, gpus=2,
                 steps=10, facts={"flops": {"total": 1000}})  # fmt: skip
    make_trial(sweep, 4, None, TrialStatus.RUNNING, ended_at=None)
    assert best_so_far.data(sweep, x="trial").x.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(best_so_far.data(sweep, x="hours").x, np.array([100, 200, 300, math.nan]) / 3600)
    np.testing.assert_allclose(best_so_far.data(sweep, x="gpu_hours").x, np.array([200, 400, 600, math.nan]) / 3600)
    np.testing.assert_allclose(best_so_far.data(sweep, x="flops").x, [1000, 2000, 3000, math.nan])
    for x in best_so_far.AXES:
        validated(figure_of("best_so_far", sweep, {"x": x}))


@pytest.mark.django_db
def test_without_a_value_it_says_so() -> None:
    figure = figure_of("best_so_far", make_sweep(), {})
    assert validated(figure).layout.annotations[0].text == "No trial has succeeded yet."
