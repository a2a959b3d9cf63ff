"""A filter that finds few runs: their metric's order is the one that a walk along the metric's index gives."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.metrics.table.making import make
from tests.runs import scene
from webapp.runs import counting
from webapp.runs.counting import narrowed
from webapp.runs.tables import order_of, page, table

pytestmark = pytest.mark.django_db
TOLD = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["succeeded", "failed"]),
        "tags": st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True),
        "metrics": st.sampled_from([{}, {"loss": [1.0]}, {"loss": [2.0, 0.5]}, {"loss": [math.nan]}]),
    }
)
FILTERS = [{"tag": "a"}, {"q": "tags = 'b'"}, {"status": "failed", "q": "metrics.loss < 2"}, {"tag": "a,b"}]


def read(runs, sort: str, limit: int) -> list[int]:
    found, cursor = [], ""
    while cursor is not None:
        part = page(runs, sort=sort, cursor=cursor, limit=limit)
        found, cursor = [*found, *(run.pk for run in part.items)], part.next
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    told=st.lists(TOLD, max_size=7),
    asked=st.sampled_from(FILTERS),
    sort=st.sampled_from(["metrics.loss", "-metrics.loss.min", "metrics.loss.mean"]),
    limit=st.integers(1, 4),
    counted=st.integers(0, 4),
)
def test_pages_are_the_same(told, asked, sort, limit, counted) -> None:
    make(told)
    runs = table(scene.person(), **asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "COUNTED", counted)
        patch.setattr(counting, "_counts", {})
        few = narrowed(tuple(asked.values()), asked.get("q", ""), runs, order_of(sort.removeprefix("-")), True)
    assert (few.number is None) == (runs.count() > counted)
    assert few.number in (None, runs.count())
    assert read(few.runs, sort, limit) == read(runs, sort, limit)


def test_nothing_is_asked_twice_of_a_filter_that_finds_many(django_assert_num_queries, monkeypatch) -> None:
    make([{"tags": ["a"]}, {"tags": ["a"]}, {"tags": ["b"]}])
    monkeypatch.setattr(counting, "COUNTED", 1)
    monkeypatch.setattr(counting, "_counts", {})
    order, person = order_of("metrics.loss"), scene.person()
    runs = table(person, tag="a")
    with django_assert_num_queries(1):
        assert narrowed(("a",), "", runs, order, True).number is None
    with django_assert_num_queries(0):
        assert narrowed(("a",), "", runs, order, True).runs is runs
    with django_assert_num_queries(1):
        assert narrowed(("b",), "", table(person, tag="b"), order, True).number == 1


@pytest.mark.parametrize(
    ("q", "sort"), [("metrics.loss < 2", "metrics.loss"), ("tags = 'a'", "name"), ("a", "metrics.loss")]
)
def test_what_is_found_on_the_way_or_by_no_index_is_not_read_first(q, sort, django_assert_num_queries) -> None:
    make([{"tags": ["a"]}])
    person = scene.person()
    with django_assert_num_queries(0):
        assert narrowed((q, sort), q, table(person, q=q), order_of(sort), False).number is None
