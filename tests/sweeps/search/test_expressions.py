from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.accounts.errors import Invalid
from webapp.sweeps.search import expressions

NAMES = ["method.rank", "method.alpha", "optimizer.lr", "schedule.lr", "method.name"]
POINT = {"method.rank": 8, "method.alpha": 16.0, "optimizer.lr": 1e-3, "schedule.lr": 0.1, "method.name": "lora"}


def holds(text: str, **changes: Any) -> bool:
    return expressions.compile(text, NAMES).holds({**POINT, **changes})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rank <= 2 * alpha", True),
        ("rank > 2 * alpha", False),
        ("method.rank * optimizer.lr < 0.01", True),
        ("1 <= rank < 8", False),
        ("rank in (4, 8, 16) and name == 'lora'", True),
        ("name not in ['lora', 'dora'] or not rank == 8", False),
        ("log2(rank) == 3 and min(rank, alpha) == 8 and max(1, rank, 3) == 8 and abs(-rank) == 8", True),
        ("-rank // 3 == -3 and rank % 3 == 2 and alpha / rank == 2 and rank ** 2 == 64", True),
        ("(rank + 1) * 2 - 3 == 15", True),
        ("name", True),
    ],
)
def test_a_constraint_is_computed(text: str, expected: bool) -> None:
    assert holds(text) is expected


@pytest.mark.parametrize("text", ["rank / 0 > 1", "log2(rank - 8) < 3", "9**9**9 > 1", "name < 3", "name * 2 == 1"])
def test_what_cannot_be_computed_does_not_hold_and_takes_no_time(text: str) -> None:
    assert not holds(text)


def test_a_constraint_on_a_knob_that_does_not_count_holds() -> None:
    constraint = expressions.compile("rank > 100 or optimizer.lr > 1", NAMES)
    assert not constraint.holds(POINT)
    assert constraint.holds({path: value for path, value in POINT.items() if path != "method.rank"})


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("rank <=", 8, "not an expression"),
        ("rank = 3", 6, "to compare write =="),
        ("rank <= size", 9, "'size' is not in the space"),
        ("lr < 1", 1, "write the whole path"),
        ("rank < __import__('os')", 8, "not part of this language"),
        ("(1).real < 2", 1, "is not a name"),
        ("rank < [x for x in (1, 2)]", 8, "not part of this language"),
        ("rank < (lambda: 3)", 9, "not part of this language"),
        ("rank if rank else 1", 1, "not part of this language"),
        ("rank & 1", 1, "not part of this language"),
        ("rank is None", 1, "not part of this language"),
        ("rank < f'{alpha}'", 8, "not part of this language"),
        ("rank < b'a'", 8, "not part of this language"),
        ("rank < 2j", 8, "not part of this language"),
        ("rank < POINT['method.rank']", 8, "not part of this language"),
        ("(rank := 3) > 1", 2, "not part of this language"),
        ("log2(1, 2) < 1", 1, "log2 takes one number"),
        ("max(rank) < 1", 1, "max takes two"),
        ("max(*(1, 2)) < 1", 1, "takes two"),
        ("'é' == name and sizé < 2", 17, "'sizé' is not in the space"),
        ("+" * 60 + "1", 42, "nested more than"),
        ("(" * 400 + "1" + ")" * 400, 201, "not an expression"),
        ("", 1, "not an expression"),
        ("rank\0", 6, "not an expression"),
    ],
)
def test_what_is_not_in_the_language_is_refused_at_its_character(text: str, place: int, why: str) -> None:
    with pytest.raises(Invalid, match="character") as caught:
        expressions.compile(text, NAMES)
    message = caught.value.errors[0]["msg"]
    assert f"at character {place}," in message and why in message


numbers = st.integers(-50, 50).map(str) | st.floats(-50, 50, allow_nan=False).map(repr) | st.sampled_from(["a", "b.c"])
arithmetic = st.recursive(
    numbers,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner)
        | st.builds("(-{})".format, inner)
        | st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner)
        | st.builds("abs({})".format, inner)
    ),
    max_leaves=6,
)
comparisons = st.builds("{} {} {}".format, arithmetic, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), arithmetic)
conditions = st.recursive(
    comparisons,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("(not {})".format, inner)
    ),
    max_leaves=3,
)


class C:
    c = 0.0


@given(conditions, st.integers(-20, 20), st.floats(-20, 20))
def test_it_computes_what_python_computes(text: str, a: int, c: float) -> None:
    names: dict[str, Any] = {"a": a, "b": C(), "min": min, "max": max, "abs": abs}
    names["b"].c = c
    try:
        expected = bool(eval(text, {"__builtins__": {}}, names))
    except (ArithmeticError, TypeError):
        expected = False
    assert expressions.compile(text, ["a", "b.c"]).holds({"a": a, "b.c": c}) is expected


@given(st.floats(0.1, 100), st.integers(-8, 8))
def test_powers_are_pythons(base: float, exponent: int) -> None:
    assert expressions.compile(f"{base!r} ** {exponent} == x", ["x"]).holds({"x": base**exponent})


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        expressions.compile(text, NAMES).holds(POINT)
    except Invalid as error:
        assert "character" in error.errors[0]["msg"]


def test_a_long_product_of_powers_stays_short() -> None:
    """Whole powers are exact up to 1,024 bits, so 500 characters can't make a number of millions of digits."""
    text = " * ".join(["rank ** 341"] * 30) + " > 1"
    assert expressions.compile(text, NAMES).value(POINT) is True
    with pytest.raises(OverflowError):
        expressions.compile("(rank ** 341) ** 341 > 1", NAMES).value(POINT)
    assert math.isfinite(expressions.compile("2.0 ** 10", NAMES).value({}))
