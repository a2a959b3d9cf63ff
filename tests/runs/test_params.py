"""The rows of a spec by path: written with the run, and sorted by as the spec itself would be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runs import scene
from webapp.runs.language import order_of
from webapp.runs.models import Queue, Run, RunParam
from webapp.runs.tables import page, table

pytestmark = pytest.mark.django_db
NAMES = st.sampled_from(["a", "b", "name", "a.b", "ä", "", "x\x1fy", "0"])
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.text("xyß'\"\\\x1f", max_size=3),
    st.sampled_from(["x" * 199 + "y", "x" * 250, "ß" * 300]), st.floats(-1e9, 1e9),
)  # fmt: skip
SPECS = st.dictionaries(
    NAMES,
    st.recursive(
        PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
    ),
    max_size=4,
)


def make(*specs: Any) -> list[Run]:
    project, _ = scene.project(), Queue.objects.get_or_create(name="default")
    return [
        Run.objects.create(project=project, kind="external", queue_id="default", status="failed", spec=spec, name="x")
        for spec in specs
    ]


def expected(spec: Any) -> dict[str, Any]:
    """Walked in Python."""
    found: dict[str, Any] = {}

    def walk(block: dict[str, Any], path: tuple[str, ...]) -> None:
        for name, value in block.items():
            here = (*path, name)
            told = value["name"] if isinstance(value, dict) and "name" in value else value
            told = told[:200] if isinstance(told, str) else told
            if told is not None and not any("\x1f" in part for part in here) and is_short(told):
                found["\x1f".join(here)] = told
            if isinstance(value, dict) and len(here) < 12:
                walk(value, here)

    walk(spec, ())
    return found


def is_short(value: Any) -> bool:
    """As the database writes it. A number takes as much space as its digits do that aren't zeros at its ends."""
    if not isinstance(value, list | dict):
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT length(%s::jsonb::text)", [json.dumps(value)])
        return cursor.fetchone()[0] <= 200


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=SPECS, then=SPECS)
def test_the_rows_are_what_stands_at_each_path_and_change_with_the_spec(first, then) -> None:
    (run,) = make(first)
    assert dict(RunParam.objects.filter(run=run).values_list("path", "value")) == expected(first)
    run.spec = then
    run.save()
    assert dict(RunParam.objects.filter(run=run).values_list("path", "value")) == expected(then)


def test_what_an_index_could_not_hold_has_no_row() -> None:
    deep: dict[str, Any] = {"x": 1}
    for _ in range(20):
        deep = {"d": deep}
    names = {"n" * 500: 1, "n" * 501: 1, "ö" * 250: 1, "ö" * 251: 1}
    (run,) = make({**deep, **names, "number": int("7" * 2500), "list": list(range(100)), "text": "t" * 5000})
    rows = dict(RunParam.objects.filter(run=run).values_list("path", "value"))
    assert rows.pop("text") == "t" * 200
    assert sorted(rows) == sorted(["\x1f".join("d" * depth) for depth in range(1, 13)] + ["n" * 500, "ö" * 250])
    (many,) = make({f"key {number}": number for number in range(1200)})
    assert RunParam.objects.filter(run=many).count() == 1000


def test_a_run_that_changes_otherwise_writes_none_and_one_that_goes_leaves_none() -> None:
    (run,) = make({"x": 1})
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmin::text FROM run_params WHERE run_id = %s", [run.pk])
        before = cursor.fetchone()
        run.step = 5
        run.save()
        cursor.execute("SELECT xmin::text FROM run_params WHERE run_id = %s", [run.pk])
        assert cursor.fetchone() == before
    run.delete()
    assert not RunParam.objects.exists()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    values=st.lists(
        PLAIN
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.lists(st.integers(0, 3), max_size=2)
        | st.just({"name": "xx"}),
        max_size=6,
    ),
    limit=st.integers(1, 3),
    descending=st.booleans(),
)
def test_the_order_is_that_of_the_specs_themselves(values, limit, descending) -> None:
    """Of texts of up to 200 characters; PostgreSQL sorts the documents."""
    values = [value[:200] if isinstance(value, str) else value for value in values]
    Run.objects.all().delete()
    make(*({"x": value} for value in values), {})
    direction = "DESC" if descending else "ASC"
    with connection.cursor() as cursor:
        cursor.execute(f"""SELECT id FROM (SELECT id, nullif(coalesce(spec #> '{{x,name}}', spec -> 'x'), 'null') AS x
                           FROM runs) AS told ORDER BY x {direction} NULLS LAST, id {direction}""")
        wanted = [number for (number,) in cursor.fetchall()]
    found, cursor_ = [], ""
    while cursor_ is not None:
        part = page(table(scene.person()), sort=f"{'-' * descending}params.x", cursor=cursor_, limit=limit)
        found, cursor_ = [*found, *(run.pk for run in part.items)], part.next
    assert found == wanted


@pytest.mark.parametrize("name", ["params.x.0", "params.x.-1", f"params.{'n' * 501}", 'params."a\x1fb"', "facts.x"])
def test_what_has_no_row_is_sorted_by_its_document(name: str) -> None:
    order = order_of(name)
    assert order.having is None and order.expression is not None
