"""Pages forth and back over every kind of order, held against the sorted list."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runs import scene
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs.errors import Invalid
from webapp.runs.models import Run
from webapp.runs.tables import slice_of, table

pytestmark = pytest.mark.django_db
VALUES = [None, math.nan, 1.0, 2.0, -math.inf]
SORTS = ["id", "metrics.loss", "metrics.loss.min", "metrics.loss.max", "metrics.loss.mean", "params.x", "steps", "user"]


def make(values: list[float | None]) -> list[Run]:
    """Runs with these as their second value of `loss`, behind a 1.5, and as parameter x and steps."""
    Run.objects.all().delete()
    for value in values:
        run = scene.submit()
        is_finite = value is not None and math.isfinite(value)
        Run.objects.filter(pk=run.pk).update(
            steps=int(value or 0) if is_finite else None, spec={"x": value} if is_finite else {"y": 1}
        )
        if value is not None:
            store.append(run.pk, {"loss": Points.of([0, 1], [1.5, value], [0.0, 0.0])})
    return list(Run.objects.order_by("id"))


def key_of(run: Run, value: float | None, sort: str) -> Any:
    """What it is sorted by, by definition; None sorts last."""
    if sort == "id":
        return run.pk
    if sort == "user":
        return "ada"
    if sort in ("params.x", "steps"):
        return value if value is not None and math.isfinite(value) else None
    if value is None:
        return None
    finite = [1.5, value] if math.isfinite(value) else [1.5]
    last = None if math.isnan(value) else value
    return {"loss": last, "min": min(finite), "max": max(finite), "mean": sum(finite) / len(finite)}[
        sort.split(".")[-1]
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    values=st.lists(st.sampled_from(VALUES), max_size=7),
    sort=st.sampled_from(SORTS),
    descending=st.booleans(),
    limit=st.integers(1, 3),
)
def test_pages_forth_and_back_are_the_sorted_list(values, sort, descending, limit) -> None:
    runs = make(values)
    keys = {run.pk: key_of(run, value, sort) for run, value in zip(runs, values, strict=True)}
    have = sorted((run.pk for run in runs if keys[run.pk] is not None), key=lambda pk: (keys[pk], pk))
    lack = [run.pk for run in runs if keys[run.pk] is None]
    expected = (have[::-1] + lack[::-1]) if descending else have + lack
    sort = f"-{sort}" if descending else sort

    forth, page = [], slice_of(table(scene.person()), sort=sort, limit=limit)
    assert page.previous is None
    pages = [page]
    while page.next:
        page = slice_of(table(scene.person()), sort=sort, limit=limit, after=page.next)
        pages.append(page)
    forth = [run.pk for part in pages for run in part.items]
    assert forth == expected

    for earlier in pages[-2::-1]:
        page = slice_of(table(scene.person()), sort=sort, limit=limit, before=page.previous)
        assert [run.pk for run in page.items] == [run.pk for run in earlier.items]
        assert page.next is not None
    assert page.previous is None


def test_parameters_of_any_type_have_one_order() -> None:
    for name, x in (("text", "b"), ("number", 10), ("nine", 9.5), ("object", {"name": "a"}), ("null", None), ("no", 0)):
        run = scene.submit(name=name)
        Run.objects.filter(pk=run.pk).update(spec={"x": x} if name != "no" else {})
    found, after = [], ""
    while after is not None:
        page = slice_of(table(scene.person()), sort="params.x", limit=1, after=after)
        found += [run.name for run in page.items]
        after = page.next
    assert found == ["object", "text", "nine", "number", "null", "no"]


@pytest.mark.parametrize("sort", ["tags", "metrics", "params.x = 1", "metrics.", "password", "x y"])
def test_what_can_not_be_sorted_by_is_refused(sort) -> None:
    with pytest.raises(Invalid, match="sort must be one of"):
        slice_of(table(scene.person()), sort=sort)
