"""Runs side by side: against the plain Python of what differs and what is best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.table.making import make
from webapp.runs.language import parse
from webapp.runs.tables import table
from webapp.sweeps.comparison.diff import MISSING, best_of, diff, flat, settings_of, side_by_side

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, 1.0, "1", "a", ""]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b.c", "d e", "n"]), inner, max_size=3)
    ),
    max_leaves=6,
)
SPECS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "x.y"]), JSON, max_size=3), min_size=1, max_size=4)


def at(spec: Any, path: str) -> Any:
    """The value at a path, read by the query language's own parser."""
    for part in parse(f"params.{path} is null").column.parts[1:]:
        if not isinstance(spec, Mapping) or part not in spec:
            return MISSING
        spec = spec[part]
    return spec


@given(specs=SPECS)
def test_every_path_leads_to_its_value_and_says_whether_all_have_it(specs) -> None:
    for setting in settings_of(specs):
        leaves = [dict(flat(spec)).get(setting.path, MISSING) for spec in specs]
        assert list(setting.values) == leaves
        for spec, value in zip(specs, leaves, strict=True):
            assert value is MISSING or at(spec, setting.path) == value
        texts = {
            repr(float(value)) if isinstance(value, int) and not isinstance(value, bool) else repr(value)
            for value in leaves
        }
        if all(isinstance(value, int | float | str | None) for value in leaves):
            assert setting.is_same == (len(texts) == 1)


@given(specs=SPECS)
def test_specs_with_no_differing_setting_are_equal(specs) -> None:
    if all(setting.is_same for setting in settings_of(specs)):
        assert all(spec == specs[0] for spec in specs)


def test_lists_are_whole_null_is_a_value_and_true_is_not_one() -> None:
    rows = {row.path: row for row in settings_of([
        {"a": [1, 2], "b": None, "c": 1, "d": 1, "e": {"f": 1}}, {"a": [2, 1], "c": 1.0, "d": True, "e": {}},
    ])}  # fmt: skip
    assert [path for path, row in rows.items() if not row.is_same] == ["a", "b", "d", "e", "e.f"]
    assert rows["b"].values == (None, MISSING)
    assert rows["e"].values == (MISSING, {})


@pytest.mark.parametrize(
    ("values", "goal", "best"),
    [
        ([2.0, 1.0, 1.0], "minimize", {1, 2}), ([2.0, 1.0, None], "maximize", {0}), ([1.0, 1.0], "minimize", set()),
        ([math.nan, -math.inf, 3.0, 4.0], "minimize", {2}), ([1.0, None], "minimize", set()), ([1.0, 2.0], None, set()),
    ],
)  # fmt: skip
def test_the_best_are_the_finite_ones_that_no_other_beats(values, goal, best) -> None:
    assert best_of(values, goal) == best


@pytest.mark.django_db
def test_metrics_are_held_against_the_baseline() -> None:
    runs = make([
        {"metrics": {"eval/loss": [4.0, 2.0], "system/ram": [1.0]}}, {"metrics": {"eval/loss": [4.0, 1.0, 3.0]}},
        {"metrics": {"eval/accuracy": [0.5]}},
    ])  # fmt: skip
    found = diff(runs, runs[0].pk)
    assert [one.metric for one in found.metrics[::4]] == ["eval/accuracy", "eval/loss", "system/ram"]
    loss = {one.aggregate: one for one in found.metrics if one.metric == "eval/loss"}
    assert loss["last"].values == (2.0, 3.0, None)
    assert (loss["min"].values, loss["max"].values) == ((2.0, 1.0, None), (4.0, 4.0, None))
    assert loss["mean"].values == pytest.approx((3.0, 8 / 3, None))
    assert (loss["last"].best, loss["min"].best, loss["max"].best) == ({0}, {1}, set())
    assert [loss["last"].difference(place, 0) for place in range(3)] == [None, 1.0, None]
    assert loss["last"].relative(1, 0) == 0.5
    assert diff(runs, runs[1].pk).baseline == 1
    assert [one.metric for one in diff(runs, names=["eval/loss", "none"], aggregates=["last"]).metrics] == ["eval/loss"]


@pytest.mark.django_db
def test_at_most_fifty_stand_side_by_side() -> None:
    runs = make([{}] * 52)
    assert side_by_side(table_of(runs)) == runs[2:]
    assert side_by_side(runs, [runs[3].pk, runs[1].pk])[:2] == [runs[3], runs[1]]
    assert len(diff(runs).runs) == 50


def table_of(runs):
    from tests.runs import scene

    return list(table(scene.person()).order_by("-pk"))
