from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sweeps.search.scene import SPEC, TREE, search
from webapp.sweeps.definition import Choices, Dimension, Range
from webapp.sweeps.search import dimensions, knobs, space
from webapp.sweeps.search.problem import Problem

ranges = st.builds(
    lambda low, width, log, step: Range(low=low, high=low + width, log=log, step=None if log else step),
    st.integers(1, 50).map(float), st.integers(0, 300).map(float), st.booleans(),
    st.none() | st.sampled_from([1.0, 2.0, 7.0]),
)  # fmt: skip


def problems(dimensions_: Any, *constraints: str, name: str = "random") -> list[tuple[str, str]]:
    found = space.check(search(name, dimensions_, *constraints), SPEC)
    return [(".".join(map(str, error["loc"])), error["msg"]) for error in found]


def test_a_knob_counts_only_where_its_condition_holds_down_the_whole_tree() -> None:
    tree = search(
        "random",
        {
            "c": {"low": 0, "high": 1, "when": {"b": [1, 2]}},
            "b": {"choices": [1, 2, 3], "when": {"a": ["x"]}},
            "a": {"choices": ["x", "y"]},
        },
    ).space
    assert space.ordered(tree) == ["a", "b", "c"]
    assert space.active(tree, {"a": "x", "b": 2, "c": 0.5}) == {"a": "x", "b": 2, "c": 0.5}
    assert space.active(tree, {"a": "x", "b": 3, "c": 0.5}) == {"a": "x", "b": 3}
    assert space.active(tree, {"a": "y", "b": 2, "c": 0.5}) == {"a": "y"}


def test_a_sound_space_has_nothing_wrong() -> None:
    assert problems(TREE, "rank <= 16 or dropout < 0.5") == []


@pytest.mark.parametrize(
    ("wrong", "place", "words"),
    [
        ({"a": {"low": 0, "high": 1, "when": {"x": [1]}}}, "search.space.a.when.x", "x is not in the space"),
        ({"a": {"choices": [1, 2], "when": {"b": [1]}}, "b": {"choices": [1, 2], "when": {"a": [1]}}},
         "search.space.a.when", "a, b wait for each other"),
        ({"a": {"choices": [1, 2]}, "b": {"low": 0, "high": 1, "when": {"a": [3]}}},
         "search.space.b.when.a", "a is never 3: it is 1 or 2"),
        ({"a": {"choices": [1, 2]}, "b": {"low": 0, "high": 1, "when": {"a": []}}}, "search.space.b.when.a", "one"),
        ({"a": {"choices": ["x", "x"]}}, "search.space.a.choices", "'x' is there twice"),
        ({"seed": {"choices": [1, 2]}}, "search.space.seed", "set by the sweep's seeds"),
        ({"method": {"choices": ["a"]}, "method.rank": {"low": 1, "high": 2}},
         "search.space.method.rank", "lies inside method"),
        ({"a..b": {"choices": [1]}}, "search.space.a..b", "not a path"),
        ({"method.rank": {"low": 2.5, "high": 8}}, "search.space.method.rank.low", "low must be a whole number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_place(wrong: Any, place: str, words: str) -> None:
    found = problems(wrong)
    assert [where for where, _ in found] == [place] and words in found[0][1]


@pytest.mark.parametrize(
    ("constraints", "place", "words"),
    [
        (["rank <= 8", "rnk > 2"], "search.constraints.1", "'rnk' is not in the space"),
        (["rank > 32"], "search.constraints.0", "None of 2,000 random points meets"),
        (["rank > 16", "rank < 4"], "search.constraints", "None of 2,000 random points meets all"),
        (["method.name * 2 > 3"], "search.constraints.0", "can't be computed: 'lora' is not a number"),
    ],
)
def test_constraints_that_leave_nothing_are_told(constraints: list[str], place: str, words: str) -> None:
    only_lora = {**TREE, "method.name": {"choices": ["lora"]}}
    found = problems(only_lora, *constraints)
    assert [where for where, _ in found] == [place] and words in found[0][1]


def test_a_grid_of_a_continuous_range_needs_points() -> None:
    from webapp.sweeps.search.samplers import grid

    asked = search("grid").model_copy(update={"sampler": grid.Knobs(name="grid")})
    assert "method.dropout, optimizer.lr" in grid.check(asked, SPEC)[0]["msg"]
    assert grid.check(search("grid"), SPEC) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer.lr": 1}, "optimizer.lr must be a number from 0.0001 to 0.01, not 1."),
        ({"batch_size": 12}, "batch_size must be a whole number from 8 to 64 in steps of 8, not 12."),
        ({"batch_size": True}, "batch_size must be"),
        ({"method.rank": 3.5}, "method.rank must be a whole number"),
        ({"method.name": "dora"}, "method.name must be 'lora' or 'full', not 'dora'."),
        (
            {"method.name": "full"},
            "method.rank does not count at this point: it does only where method.name is 'lora'.",
        ),
        ({"other": 1}, "other is not in the space"),
        ({"batch_size": None}, "batch_size is missing: give it a number from 8 to 64 in steps of 8."),
        ({"method.rank": 32, "method.dropout": 0.9}, "The point breaks the constraint 'rank <= 16 or dropout < 0.5'."),
    ],
)
def test_what_is_wrong_with_a_point_is_told_in_sentences(changes: dict[str, Any], words: str) -> None:
    asked = search("tpe", None, "rank <= 16 or dropout < 0.5")
    sound = {
        "method.name": "lora", "method.rank": 4, "method.dropout": 0.5, "optimizer.lr": 1e-3, "batch_size": 16
    }  # fmt: skip
    assert space.violations(asked, sound, SPEC) == []
    broken = {path: value for path, value in {**sound, **changes}.items() if value is not None}
    assert any(sentence.startswith(words) for sentence in space.violations(asked, broken, SPEC))


def test_the_knobs_type_decides_what_is_whole_and_without_it_the_bounds() -> None:
    given_space = search("tpe", {**TREE, "unknown": {"low": 2, "high": 32}, "other": {"low": 0.5, "high": 2}}).space
    assert knobs.whole(SPEC, given_space) == {"method.rank", "batch_size", "unknown"}
    assert knobs.whole(None, given_space) == {"method.rank", "method.dropout", "batch_size", "unknown"}


def test_the_shape_that_the_spec_or_the_space_chooses_has_the_knob() -> None:
    lora = search("tpe", {"method.rank": {"low": 2, "high": 8}}).space
    assert knobs.at(SPEC, "method.rank", lora)[0]["type"] == "integer"
    full = {**SPEC, "method": {"name": "full"}}
    assert knobs.at(full, "method.rank", lora) == []
    assert len(knobs.at(full, "method.rank", search("tpe", TREE).space)) == 1
    assert knobs.at({"kind": "none"}, "method.rank") == []


@given(ranges, st.booleans(), st.floats(0, 1, exclude_max=True))
def test_every_share_is_a_value_of_the_range_and_back(one: Range, is_whole: bool, share: float) -> None:
    value = dimensions.placed(one, share, is_whole)
    assert dimensions.contains(one, value, is_whole) and isinstance(value, int if is_whole else float)
    if one.high > one.low:
        again = dimensions.placed(one, dimensions.share(one, value, is_whole), is_whole)
        assert again == pytest.approx(value, rel=1e-9)


@given(ranges, st.booleans())
def test_optuna_is_asked_for_the_same_values(one: Range, is_whole: bool) -> None:
    distribution = dimensions.distribution(one, is_whole)
    for share in (0.0, 0.3, 0.999):
        value: Any = dimensions.placed(one, share, is_whole)
        assert distribution._contains(distribution.to_internal_repr(value))


@given(ranges)
def test_the_values_of_a_list_are_as_many_as_counted(one: Range) -> None:
    values = dimensions.values(one, True)
    assert len(values) == dimensions.size(one, True) == len(set(values))
    assert values == sorted(values)


def test_even_shares_give_uniform_and_log_uniform_values() -> None:
    shares = (np.arange(10_000) + 0.5) / 10_000
    log = Range(low=1e-4, high=1.0, log=True)
    assert np.median([dimensions.placed(log, share, False) for share in shares]) == pytest.approx(1e-2, rel=1e-3)
    cases: list[tuple[Dimension, bool]] = [
        (Range(low=1, high=5), True), (Range(low=0, high=1, step=0.25), False), (Choices(choices=list("abcde")), False)
    ]  # fmt: skip
    for one, is_whole in cases:
        _, counts = np.unique([dimensions.placed(one, share, is_whole) for share in shares], return_counts=True)
        assert counts.tolist() == [2000] * 5


def test_points_of_a_range_are_spread_evenly_or_in_the_logarithm() -> None:
    assert dimensions.values(Range(low=0, high=1), False, 5) == [0, 0.25, 0.5, 0.75, 1]
    assert dimensions.values(Range(low=1e-4, high=1, log=True), False, 5) == [1e-4, 1e-3, 1e-2, 0.1, 1]
    assert dimensions.values(Range(low=2, high=32, log=True), True, 5) == [2, 4, 8, 16, 32]
    assert dimensions.values(Range(low=2, high=4), True, 5) == [2, 3, 4]
    assert dimensions.values(Range(low=0, high=0.3, step=0.1), False, 2) == [0, 0.1, 0.2, 0.3]


def test_a_grid_walks_only_the_branches_that_count() -> None:
    tree = {
        "method.name": {"choices": ["full", "lora"]},
        "method.rank": {"low": 2, "high": 4, "when": {"method.name": ["lora"]}},
        "batch_size": {"choices": [4, 8]},
    }
    found = list(Problem(search("grid", tree), 1, SPEC, 0).listed())
    assert len(found) == 2 + 3 * 2
    assert {point.get("method.rank") for point in found if point["method.name"] == "full"} == {None}
    assert found == list(Problem(search("grid", tree), 1, SPEC, 0).listed())
