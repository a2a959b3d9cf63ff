"""Groups of runs: their counts, their queries and their statistics, against Python's and numpy's."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.metrics.table.making import make
from tests.runs import scene
from webapp.metrics.table import grouping
from webapp.metrics.table.fields import fields
from webapp.metrics.table.grouping import grouped
from webapp.metrics.table.keys import keys_of
from webapp.runs.errors import Invalid
from webapp.runs.models import Run
from webapp.runs.tables import table

pytestmark = pytest.mark.django_db
X = [
    1, 1.0, 2, 0.1, 1e-7, -3, 10**20, "1", "1.0", "a", "it's", 'say "so"', "", " a ", "50%", True, "true", None, [1, 2],
    "[1, 2]", {"name": "a"}, {"name": 1}, {"k": 1}, {}, "line\nline", "ünï",
]  # fmt: skip
TOLD = st.fixed_dictionaries(
    {
        "spec": st.one_of(
            st.just({}),
            st.sampled_from(X).map(lambda x: {"x": x}),
            st.floats(allow_nan=False, allow_infinity=False).map(lambda x: {"x": x}),
        ),
        "tags": st.lists(st.sampled_from(["a", "b", "it's"]), max_size=2, unique=True),
        "status": st.sampled_from(["succeeded", "failed"]),
        "metrics": st.one_of(
            st.just({}),
            st.lists(st.sampled_from([1.0, 2.5, -4.0, 1e9, 1e-9, math.nan, math.inf]), min_size=1, max_size=3).map(
                lambda values: {"eval/loss": values}
            ),
        ),
    }
)


def found(group: str, names: tuple[str, ...] = (), sort: str = "", q: str = "") -> grouping.Groups:
    return grouped(table(scene.person(), q=q), keys_of(group), fields(names), sort, q)


def ids(q: str) -> list[int]:
    return sorted(table(scene.person(), q=q).values_list("pk", flat=True))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    told=st.lists(TOLD, min_size=1, max_size=7),
    group=st.sampled_from(["params.x", "params.x,status", "status,user", "kind,queue,params.x", "method"]),
    q=st.sampled_from(["", "run", "status = 'failed'", "status = 'failed' or params.x = 1", "params.x is null"]),
)
def test_groups_are_a_partition_and_the_query_of_each_finds_exactly_its_runs(told, group, q) -> None:
    make(told)
    groups = found(group, q=q).items
    assert sum(one.count for one in groups) == len(ids(q))
    members = [number for one in groups for number in ids(one.query or "no query")]
    assert sorted(members) == ids(q)
    assert [len(ids(one.query)) for one in groups] == [one.count for one in groups]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(told=st.lists(TOLD, min_size=1, max_size=8))
def test_statistics_are_those_of_numpy_over_the_finite_values(told) -> None:
    make(told)
    names = ("eval/loss", "metrics.eval/loss.min", "metrics.eval/loss.mean")
    for one in found("status", names).items:
        mine = [run["metrics"]["eval/loss"] for run in told if run["status"] == one.values[0].text and run["metrics"]]
        finite = [[value for value in values if math.isfinite(value)] for values in mine]
        expected = [
            [values[-1] for values in mine if math.isfinite(values[-1])],
            [min(values) for values in finite if values],
            [float(np.mean(values)) for values in finite if values],
        ]
        for statistics, values in zip(one.metrics, expected, strict=True):
            assert statistics.runs == len(values)
            if not values:
                assert statistics[1:] == (None, None, None, None)
                continue
            assert statistics.mean == pytest.approx(np.mean(values), rel=1e-12, abs=1e-18)
            assert (statistics.min, statistics.max) == pytest.approx((min(values), max(values)), rel=1e-12)
            if len(values) == 1:
                assert statistics.std is None
            else:
                assert statistics.std == pytest.approx(
                    np.std(values, ddof=1), rel=1e-6, abs=1e-9 * max(map(abs, values))
                )


def test_a_run_of_several_tags_is_in_the_group_of_each() -> None:
    told = [{"tags": ["a", "b"]}, {"tags": ["a"]}, {"tags": []}, {"tags": ["it's"]}]
    make(told)
    groups = found("tag")
    assert {one.values[0].text: one.count for one in groups.items} == Counter(
        tag for one in told for tag in one["tags"] or [None]
    )
    assert all(len(ids(one.query)) == one.count for one in groups.items)


def test_numbers_and_texts_are_told_apart_and_equal_numbers_are_one() -> None:
    make([{"spec": {"x": x}} for x in (8, 8.0, "8", "8.0", True, "true")])
    groups = {(one.values[0].text, one.values[0].is_number): one.count for one in found("params.x").items}
    assert groups == {("8", True): 2, ("8", False): 1, ("8.0", False): 1, ("true", False): 2}


def test_sorting() -> None:
    make(
        [{"spec": {"x": x}, "metrics": {"loss": [value]} if value else {}}
         for x, value in ((10, 1.0), (10, 3.0), (9, 9.0), ("b", None), ("b", None), ("b", None))]
    )  # fmt: skip

    def order(sort: str) -> list[str | None]:
        return [one.values[0].text for one in found("params.x", ("loss",), sort).items]

    assert order("") == order("-count") == ["b", "10", "9"]
    assert order("count") == ["9", "10", "b"]
    assert order("mean:loss") == ["10", "9", "b"]
    assert order("-mean:loss") == ["9", "10", "b"]
    assert order("-std:loss") == ["10", "b", "9"]
    assert order("key") == ["b", "9", "10"]


def test_words_stand_in_the_query_of_a_group() -> None:
    make(
        [
            {"name": "50% off", "tags": ["x"]},
            {"name": "500 off"},
            {"name": "plain", "spec": {"method": {"name": "50%"}}},
        ]
    )
    groups = found("kind", q="50%").items
    assert [one.count for one in groups] == [2]
    assert ids(groups[0].query) == ids("50%")


def test_no_more_groups_than_are_shown() -> None:
    make([{"spec": {"x": x}} for x in range(4)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "MOST_GROUPS", 3)
        groups = found("params.x")
    assert groups.is_more and len(groups.items) == 3


def test_huge_values_are_no_error() -> None:
    make([{"metrics": {"loss": [value]}} for value in (1e308, -1e308, 2.0, 4.0)])
    assert found("kind", ("loss",)).items[0].metrics[0][:2] == (2, 3.0)


def test_a_value_that_no_query_may_hold_has_no_link_but_its_count() -> None:
    make([{"spec": {"x": "y" * 3000}}])
    assert [(one.count, one.query) for one in found("params.x").items] == [(1, None)]


def test_nothing_found_is_no_group() -> None:
    make([{}])
    assert found("kind", q="params.x = 1").items == []
    assert grouped(Run.objects.none(), keys_of("kind"), []).items == []


@pytest.mark.parametrize(
    "group", ["", "metrics.loss", "created", "duration", "password", "a,b,c,d", "params.", "x; drop"]
)
def test_what_can_not_be_grouped_by_is_refused(group) -> None:
    with pytest.raises(Invalid, match="group must be"):
        keys_of(group)


@pytest.mark.parametrize("sort", ["loss", "mean:none", "mean", "median:loss", "-", "mean:loss; drop table runs"])
def test_what_can_not_be_sorted_by_is_refused(sort) -> None:
    with pytest.raises(Invalid, match="sort must be"):
        found("kind", ("loss",), sort)


def test_a_metric_with_any_name_is_a_parameter() -> None:
    name = "a'b;--%s"
    make([{"metrics": {name: [2.0]}}])
    assert found("kind", (name,)).items[0].metrics[0].mean == 2.0
