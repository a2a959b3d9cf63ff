"""What every sampler promises."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.sweeps.search.scene import FLAT, LOSS, SPEC, TREE, quadratic, samplers, search, searched, seen
from webapp.sweeps.definition import Objective
from webapp.sweeps.errors import Exhausted
from webapp.sweeps.search import space
from webapp.sweeps.search.asking import Observation, ask
from webapp.sweeps.states import TrialStatus

pytestmark = pytest.mark.parametrize("name", samplers())


def loss(params: dict[str, Any]) -> float:
    return params["optimizer.lr"] * params.get("method.rank", 1)


def mixed(asked: Any, count: int = 12) -> list[Observation]:
    """A history with every status and with values that are no numbers."""
    draws = space.drawn(asked.space, frozenset(["method.rank", "batch_size"]), 7)
    values: list[list[float] | None] = [[1.0], None, [math.nan], [0.5], [math.inf], [2.0], [-math.inf]]
    statuses = list(TrialStatus)
    return [
        Observation(at + 1, next(draws), statuses[at % len(statuses)], values[at % len(values)]) for at in range(count)
    ]


def test_points_lie_in_the_space_and_have_no_knob_that_does_not_count(name: str) -> None:
    asked = search(name)
    history = searched(asked, 12, loss)
    for one in history:
        assert space.violations(asked, one.params, SPEC) == []
        assert ("method.rank" in one.params) == (one.params["method.name"] == "lora")


def test_whole_numbers_are_ints_and_others_floats(name: str) -> None:
    for one in searched(search(name), 8, loss):
        types = {path: type(value) for path, value in one.params.items()}
        assert types["batch_size"] is int and types["optimizer.lr"] is float
        assert types.get("method.rank", int) is int and types.get("method.dropout", float) is float


def test_constraints_are_met(name: str) -> None:
    asked = search(name, None, "method.name == 'lora'", "rank <= 8 and log2(batch_size) >= dropout + 3")
    for one in searched(asked, 8, loss):
        assert one.params["method.name"] == "lora" and one.params["method.rank"] <= 8


def test_the_same_history_gives_the_same_point_and_a_longer_one_another(name: str) -> None:
    asked = search(name)
    history = searched(asked, 6, loss)
    again = ask(search(name), LOSS, list(history), spec=SPEC)
    assert ask(asked, LOSS, history, spec=SPEC) == again
    longer = [*history, Observation(7, again[0].params, TrialStatus.QUEUED)]
    assert ask(asked, LOSS, longer, spec=SPEC) != again


def test_two_points_at_once_are_those_asked_for_one_by_one_and_all_differ(name: str) -> None:
    asked = search(name)
    history = searched(asked, 5, loss)
    points = ask(asked, LOSS, history, 4, spec=SPEC)
    assert len({json.dumps(point.params, sort_keys=True) for point in points}) == 4
    for index, point in enumerate(points):
        waiting = [Observation(6 + at, points[at].params, TrialStatus.QUEUED) for at in range(index)]
        assert ask(asked, LOSS, [*history, *waiting], spec=SPEC) == [point]


def test_a_point_is_found_whatever_became_of_the_others(name: str) -> None:
    asked = search(name)
    for count in (0, 1, 4, 30):
        params = ask(asked, LOSS, mixed(asked, count), spec=SPEC)[0].params
        assert space.violations(asked, params, SPEC) == []


def test_trials_that_all_failed_leave_it_searching(name: str) -> None:
    asked = search(name)
    bad = [one._replace(status=TrialStatus.OUT_OF_MEMORY, values=None) for one in mixed(asked, 15)]
    assert ask(asked, LOSS, bad, spec=SPEC)


def test_trials_from_before_an_edit_of_the_space_do_no_harm(name: str) -> None:
    before = searched(search(name), 8, loss)
    narrow = search(name, {**FLAT, "optimizer.lr": {"low": 1e-3, "high": 2e-3, "log": True}})
    assert set(ask(narrow, LOSS, before, spec=SPEC)[0].params) == set(FLAT)


def test_a_small_space_is_searched_to_its_end(name: str) -> None:
    small = {
        "method.name": {"choices": ["lora", "full"]},
        "method.rank": {"low": 2, "high": 4, "when": {"method.name": ["lora"]}},
    }
    asked = search(name, small, "rank != 3")
    if name == "cmaes":
        asked = search(name, {"batch_size": {"low": 1, "high": 3}})
    history = [seen(at, point.params, 1.0) for at, point in enumerate(ask(asked, LOSS, [], 9, spec=SPEC), 1)]
    assert len(history) == 3
    with pytest.raises(Exhausted, match="tried"):
        ask(asked, LOSS, history, spec=SPEC)


def test_constraints_that_nothing_meets_exhaust_it(name: str) -> None:
    with pytest.raises(Exhausted):
        ask(search(name, None, "batch_size > 64"), LOSS, [], spec=SPEC)


def test_two_objectives_with_directions_are_searched(name: str) -> None:
    if name == "cmaes":
        pytest.skip("has one objective")
    two = [Objective(metric="eval/loss"), Objective(metric="eval/accuracy", goal="maximize")]
    asked = search(name, FLAT)
    history = [
        seen(at, point.params, quadratic(point.params), point.params["method.dropout"])
        for at, point in enumerate(ask(search("qmc", FLAT), two, [], 12, spec=SPEC), 1)
    ]
    assert len(ask(asked, two, history, 2, spec=SPEC)) == 2


def test_a_grid_and_a_tree_keep_the_order_of_parents_first(name: str) -> None:
    children_first = dict(reversed(TREE.items()))
    params = ask(search(name, children_first), LOSS, [], spec=SPEC)[0].params
    assert space.violations(search(name, children_first), params, SPEC) == []
