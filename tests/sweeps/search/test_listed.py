"""Listed points: tried as they are, in their order, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.search.scene import LOSS, SPEC, seen
from webapp.accounts.errors import Invalid
from webapp.sweeps import checking, pace
from webapp.sweeps.definition import Definition, Search
from webapp.sweeps.errors import Exhausted
from webapp.sweeps.search.asking import ask

POINTS: list[dict[str, Any]] = [
    {"method.name": "lora", "method.rank": 4, "optimizer.lr": 1e-3, "steps": 30},
    {"method.name": "full", "optimizer.lr": 1e-4, "steps": 20},
    {"method.name": "lora", "method.rank": 2, "optimizer.lr": 1e-2, "steps": 30},
]
SPACE: dict[str, Any] = {
    "method.name": {"choices": ["lora", "full"]},
    "method.rank": {"low": 1, "high": 8, "when": {"method.name": ["lora"]}},
    "optimizer.lr": {"choices": [1e-4, 1e-3, 1e-2]},
    "steps": {"choices": [20, 30]},
}


def search(points: list[dict[str, Any]] = POINTS, **changes: Any) -> Search:
    return Search.model_validate({"sampler": {"name": "listed", "points": points}, "space": SPACE, **changes})


def definition(points: list[dict[str, Any]] = POINTS, **changes: Any) -> dict[str, Any]:
    asked = search(points).model_dump(mode="json", exclude_unset=True)
    return {"spec": SPEC, "search": asked, "objective": {"metric": "eval/loss"}, "trials": len(points), **changes}


def test_the_points_come_in_their_order_and_then_the_list_is_done() -> None:
    asked = ask(search(), LOSS, [], 9, spec=SPEC)
    assert [point.params for point in asked] == POINTS
    history = [seen(number, point.params, 1.0) for number, point in enumerate(asked, 1)]
    assert ask(search(), LOSS, history[:1], spec=SPEC)[0].params == POINTS[1]
    with pytest.raises(Exhausted, match=r"The list is done: all its points are tried \(3 trials\)"):
        ask(search(), LOSS, history, spec=SPEC)


def test_a_constraint_leaves_points_out() -> None:
    asked = ask(search(constraints=["lr < 0.01"]), LOSS, [], 9, spec=SPEC)
    assert [point.params for point in asked] == POINTS[:2]


def test_whole_numbers_stay_ints_and_rates_floats() -> None:
    (point, *_) = ask(search(), LOSS, [], 1, spec=SPEC)
    assert {path: type(value) for path, value in point.params.items()} == {
        "method.name": str, "method.rank": int, "optimizer.lr": float, "steps": int,
    }  # fmt: skip


def test_a_sweep_is_checked_by_its_points_alone() -> None:
    """Choices that no point combines may be wrong together: 20 steps with the rank of an adapter are not asked for."""
    checked = checking.checked(definition())
    assert list(checking.examples(checked)) == POINTS
    wrong = [{**POINTS[0], "steps": 20, "optimizer.lr": 1e-4}, {**POINTS[1], "steps": 0}]
    space = {**SPACE, "steps": {"choices": [20, 0]}}
    asked = {"sampler": {"name": "listed", "points": wrong}, "space": space}
    with pytest.raises(Invalid, match="greater than or equal to 1, not 0"):
        checking.checked(definition(search=asked))


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        ([{**POINTS[1], "optimizer.lr": 5.0}], "optimizer.lr must be"),
        ([{**POINTS[1], "method.rank": 4}], "method.rank does not count at this point"),
        ([{"method.name": "full", "steps": 20}], "optimizer.lr is missing"),
        ([{**POINTS[1], "batch_size": 4}], "batch_size is not in the space"),
        ([*POINTS, POINTS[0]], "The point is there twice: it is number 1 already."),
    ],
)
def test_a_point_that_is_not_of_the_space_is_refused_at_its_place(points: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence) as caught:
        checking.checked(definition(points))
    assert caught.value.errors[0]["loc"] == ["search", "sampler", "points", len(points) - 1]


def test_a_forecast_goes_by_the_points_of_the_list() -> None:
    specs = pace.examples(Definition.model_validate(definition()))
    assert [(spec["method"]["name"], spec["steps"], spec["optimizer"]["lr"]) for spec in specs] == [
        ("lora", 30, 1e-3), ("full", 20, 1e-4), ("lora", 30, 1e-2),
    ]  # fmt: skip


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 item"):
        search([])
