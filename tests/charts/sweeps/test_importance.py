from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.charts.figures import validated
from webapp.charts.sweeps import importance
from webapp.charts.sweeps.trials import TrialRow, Trials, columns
from webapp.sweeps.definition import Choices, Range

SPACE = {"a": Range(low=0, high=1), "b": Range(low=0, high=1), "c": Choices(choices=["x", "y"])}


def trials(count: int, seed: int = 0) -> Trials:
    """value = 2 a + b: var(2 a) / var(b) = 4, and c does nothing."""
    random = np.random.default_rng(seed)
    params = [{"a": random.uniform(), "b": random.uniform(), "c": str(random.choice(["x", "y"]))} for _ in range(count)]
    return columns([TrialRow(n, p, "succeeded", [2 * p["a"] + p["b"]]) for n, p in enumerate(params)])


def test_shares_of_variance_are_those_of_an_additive_function() -> None:
    shares = importance.of(trials(300), SPACE, 1.0).shares
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["a"] == pytest.approx(0.8, abs=0.08)
    assert shares["b"] == pytest.approx(0.2, abs=0.08)
    assert shares["c"] < 0.02
    assert list(shares) == ["a", "b", "c"]


def test_a_log_knob_is_judged_by_its_logarithm() -> None:
    """value = log10(lr) / 2 + b with log10(lr) and b even over widths of 2 and 1: both explain the same."""
    random = np.random.default_rng(0)
    params = [{"lr": 10 ** random.uniform(-4, -2), "b": random.uniform()} for _ in range(300)]
    values = [np.log10(point["lr"]) / 2 + point["b"] for point in params]
    found = columns([TrialRow(n, p, "succeeded", [v]) for n, (p, v) in enumerate(zip(params, values, strict=True))])
    shares = importance.of(found, {"lr": Range(low=1e-4, high=1e-2, log=True), "b": SPACE["b"]}, 1.0).shares
    assert shares["lr"] == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("method", importance.METHODS)
def test_both_methods_find_the_knob_that_matters_and_say_the_same_each_time(method: str) -> None:
    once = importance.of(trials(200), SPACE, 1.0, method)
    assert next(iter(once.shares)) == "a"
    assert once == importance.of(trials(200), SPACE, 1.0, method)
    validated(importance.figure(once))


def test_the_goal_turns_what_the_best_tenth_is() -> None:
    """Low a is always bad; high a is good or bad with b: only the upper end depends on both."""
    random = np.random.default_rng(1)
    params = [{"a": random.uniform(), "b": random.uniform()} for _ in range(400)]
    found = columns([TrialRow(n, p, "succeeded", [max(p["a"], 0.5) * p["b"]]) for n, p in enumerate(params)])
    space = {path: SPACE[path] for path in ("a", "b")}
    most = importance.of(found, space, -1.0, "ped_anova").shares
    least = importance.of(found, space, 1.0, "ped_anova").shares
    assert most["a"] > 3 * least["a"]


def test_a_conditional_knob_is_left_out_by_fanova_and_judged_by_ped_anova() -> None:
    random = np.random.default_rng(0)
    params: list[dict[str, Any]] = []
    for _ in range(200):
        point: dict[str, Any] = {"a": random.uniform(), "c": str(random.choice(["x", "y"]))}
        params.append(point | ({"b": random.uniform()} if point["c"] == "x" else {}))
    found = columns([TrialRow(n, p, "succeeded", [p["a"] + p.get("b", 0.5)]) for n, p in enumerate(params)])
    forest = importance.of(found, SPACE, 1.0)
    assert forest.left_out == ["b"]
    assert set(forest.shares) == {"a", "c"}
    assert "not judged, as it is off in some: b" in importance.figure(forest)["layout"]["meta"]["caption"]
    density = importance.of(found, SPACE, 1.0, "ped_anova")
    assert density.left_out == []
    assert set(density.shares) == {"a", "b", "c"}


def test_many_trials_are_sampled_and_this_is_said() -> None:
    data = importance.of(trials(700), SPACE, 1.0, "ped_anova")
    assert (data.used, data.count) == (importance.MOST, 700)
    assert importance.figure(data)["layout"]["meta"]["caption"] == "500 of 700 trials, sampled"


def test_too_few_trials_are_said_with_their_number() -> None:
    figure = validated(importance.figure(importance.of(trials(9), SPACE, 1.0)))
    assert figure.layout.annotations[0].text == "Importance needs 10 trials that succeeded; there are 9."


def test_equal_values_are_nobodys_doing() -> None:
    found = trials(30)
    flat = found._replace(values=np.ones_like(found.values))
    figure = validated(importance.figure(importance.of(flat, SPACE, 1.0)))
    assert figure.layout.annotations[0].text == "No knob explains any of the spread of values."


def test_points_from_before_an_edit_of_the_space_count() -> None:
    narrow = {**SPACE, "a": Range(low=0.4, high=0.6), "c": Choices(choices=["x"])}
    assert importance.of(trials(50), narrow, 1.0).shares["a"] > 0.5
