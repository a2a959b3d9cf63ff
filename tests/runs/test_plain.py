"""Whatever a training process says can be stored."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.runs import plain

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.django_db
@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_postgres_takes_any_value_and_gives_it_back(value) -> None:
    cleaned = plain.json(value)
    text = json.dumps(cleaned, allow_nan=False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::jsonb::text", [text])
        [back] = cursor.fetchone()
    assert json.loads(back, parse_int=float) == json.loads(text, parse_int=float)  # jsonb writes 1e16 as digits


def test_finite_values_are_not_touched() -> None:
    value = {"a": [1, 2.5, -0.0, None, True, "ü"], "b": {"c": 1e308}}
    assert plain.json(value) == value


def test_the_words_for_what_is_not_finite() -> None:
    assert plain.json([math.nan, math.inf, -math.inf]) == ["NaN", "Infinity", "-Infinity"]


def test_numbers_of_numpy_become_plain_ones() -> None:
    value = plain.json({"i": np.int64(3), "f": np.float32(0.5), "n": np.float64("nan")})
    assert value == {"i": 3, "f": 0.5, "n": "NaN"}
    assert (type(value["i"]), type(value["f"])) == (int, float)


def test_what_is_not_plain_is_refused() -> None:
    with pytest.raises(TypeError, match="set is not a plain value"):
        plain.json({"a": {1}})
