from __future__ import annotations

import math

import numpy as np
import pytest

from tests.charts.figures import validated
from tests.charts.sweeps.scene import definition, make_sweep, make_trial
from webapp.charts.sweeps import figure_of, parallel
from webapp.charts.sweeps.trials import TrialRow, columns
from webapp.sweeps.definition import Choices, Range

SPACE = definition().search.space


def test_a_log_knob_is_placed_by_its_logarithm_and_an_inactive_one_is_off() -> None:
    found = columns([
        TrialRow(1, {"optimizer.lr": 1e-4, "method.name": "full"}, "succeeded", [2.0]),
        TrialRow(2, {"optimizer.lr": 1e-1, "method.name": "lora", "method.rank": 8}, "succeeded", [1.0]),
        TrialRow(3, {"optimizer.lr": 1e-2, "method.name": "lora", "method.rank": 32}, "succeeded", [1.5]),
    ])  # fmt: skip
    data = parallel.of(found, SPACE, "eval/loss", 1.0)
    np.testing.assert_allclose(data.heights, [
        [0, 0, parallel.OFF, 0],
        [1, 1, 0.5, 1],  # log 8 lies halfway between log 2 and log 32
        [2 / 3, 1, 1, 0.5],
    ])  # fmt: skip
    assert data.axes[0].ticks == [
        (0, "0.0001"), (pytest.approx(1 / 3), "0.001"), (pytest.approx(2 / 3), "0.01"), (1, "0.1"),
    ]  # fmt: skip
    assert data.axes[2].ticks[0] == (parallel.OFF, "off")


def test_the_best_end_of_the_value_is_up_whatever_the_goal() -> None:
    found = columns([TrialRow(n, {"a": 1.0}, "succeeded", [float(n)]) for n in (1, 2, 3)])
    space = {"a": Range(low=0, high=2)}
    assert parallel.of(found, space, "loss", 1.0).heights[:, -1].tolist() == [1, 0.5, 0]
    assert parallel.of(found, space, "accuracy", -1.0).heights[:, -1].tolist() == [0, 0.5, 1]


def test_points_outside_an_edited_space_widen_its_axis() -> None:
    found = columns([TrialRow(1, {"a": 5.0, "b": "old"}, "succeeded", [1.0])])
    data = parallel.of(found, {"a": Range(low=0, high=1), "b": Choices(choices=["new"])}, "loss", 1.0)
    assert data.heights[0].tolist()[:2] == [1, 1]
    assert [name for _, name in data.axes[1].ticks] == ["new", "old"]


def test_many_trials_are_thinned_and_the_best_stay() -> None:
    values = np.random.default_rng(1).normal(size=5000)
    found = columns([TrialRow(n, {"a": 0.5}, "succeeded", [v]) for n, v in enumerate(values.tolist())])
    data = parallel.of(found, {"a": Range(low=0, high=1)}, "loss", 1.0)
    assert len(data.numbers) <= parallel.MOST_LINES * 1.1
    assert set(np.argsort(values)[:40]) <= set(data.numbers)
    figure = parallel.figure(data)
    lines = sum(trace["y"].count(None) for trace in figure["data"] if trace["mode"] == "lines")
    assert lines == len(data.numbers)


def test_names_and_choices_are_no_markup() -> None:
    found = columns([TrialRow(1, {"<b>": "<i>x</i>"}, "succeeded", [1.0])])
    figure = parallel.figure(parallel.of(found, {"<b>": Choices(choices=["<i>x</i>"])}, "<u>", 1.0))
    assert "<i>" not in str(figure)
    assert "<b>" not in str(figure)
    assert "<u>" not in str(figure)


@pytest.mark.django_db
def test_it_is_valid_with_and_without_trials() -> None:
    sweep = make_sweep()
    assert validated(figure_of("parallel", sweep, {})).layout.annotations[0].text == "No trial has succeeded yet."
    make_trial(sweep, 1, [1.0])
    make_trial(sweep, 2, [math.pi], params={"optimizer.lr": 0.1, "method.name": "lora", "method.rank": 4})
    assert len(validated(figure_of("parallel", sweep, {})).data) == 4
