"""What an index answers of JSON documents is what the plain comparison says of them."""

from __future__ import annotations

import math

import pytest
from django.db.models import F
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.runs import scene
from webapp.runs.language import documents, types
from webapp.runs.language.tree import Duration, Number, Text
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db

keys = st.sampled_from(["a", "b", "name", "0", "é", 'q"', "\\", "$", "x.y", " 1"])
words = st.sampled_from(["lora", "3", "true", "null", '"x"', "[1]", '{"a": 1}', "", "1e3", "é", "NaN"])
numbers = st.integers(-3, 3) | st.sampled_from([0.5, 1e300, -1e-300, 10**25, 1e-7, 0.1])
leaves = st.none() | st.booleans() | words | numbers
json = st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3))
values = st.builds(Text, words) | st.builds(Number, numbers)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    spec=st.dictionaries(keys, json, max_size=3),
    path=st.lists(keys, min_size=1, max_size=3),
    sign=st.sampled_from(["=", "<", "<=", ">", ">="]),
    value=values,
)
@example({"a": [1, 2]}, ["a"], ">", Number(0))
@example({"a": ["lora"]}, ["a"], "=", Text("lora"))
@example({"a": {"name": {"name": "lora"}}}, ["a"], "=", Text("lora"))
@example({"a": {"name": None, "b": 1}}, ["a"], "=", Text("lora"))
@example({"a": "1"}, ["a"], "=", Number(1))
@example({"a": 1.10}, ["a"], "=", Number(1.1))
def test_the_quick_condition_finds_what_the_plain_one_finds(spec, path, sign, value) -> None:
    quick = documents.quick("spec", path)(sign, value)
    if quick is None:
        return
    run = Run.objects.first() or scene.submit()
    Run.objects.filter(pk=run.pk).update(spec=spec)
    plain = types.compare_json(types.below(F("spec"), *path), sign, value)
    assert Run.objects.filter(quick).count() == Run.objects.filter(plain).count()
    assert Run.objects.filter(~quick).count() == 1 - Run.objects.filter(quick).count()  # never unknown


@pytest.mark.parametrize(
    ("path", "sign", "value"),
    [
        (["a"], "=", Text("3")),  # the text of a number too
        (["a"], "=", Text("[1]")),
        (["a", "0"], "=", Number(1)),  # perhaps a place in a list
        (["a"], "<", Text("x")),
        (["a"], "like", Text("x%")),
        (["a"], "<", Number(math.inf)),
        (["a"], "<", Duration("3h")),
    ],
)
def test_what_no_index_can_say_is_left_to_the_plain_comparison(path, sign, value) -> None:
    assert documents.quick("spec", path)(sign, value) is None


def test_a_parameter_is_looked_up_in_the_index() -> None:
    from django.db import connection

    scene.submit()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = Run.objects.filter(documents.quick("spec", ["method"])("=", Text("lora"))).explain()
    assert "runs_spec" in plan
