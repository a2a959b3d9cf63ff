"""Formulas that people type: what they compute, what they refuse, and that derivatives go through."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpu_jobs import formula
from gpu_jobs.errors import MethodError
from gpu_jobs.smooth import Dual


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * x", 7.0),
        ("-x**2", -9.0),
        ("exp(log(x)) / sqrt(x * x)", 1.0),
        ("min(x, 2) + max(x, 5) - abs(-x)", 4.0),
        ("`a column` * x", 30.0),
        ("+x", 3.0),
    ],
)
def test_a_formula_computes(text: str, value: float) -> None:
    assert formula.parse(text).value({"x": 3.0, "a column": 10.0}) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "x.real", "lambda: 1", "[x]", "x if x else 1", "open('f')", "x < 1", "True",
        "'text'", "exp(x, x)", "(y := 1)", "x @ x", "x // 2", "f'{x}'", "x[0]", "exp(x=1)", "exp(*x)", "", "1 +",
        "-" * 60 + "x", "x + " * 400 + "x", "None", "await x", "{x}", "x; x", "2j",
    ],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(MethodError):
        formula.parse(text)


def test_a_condition_compares_numbers_and_text() -> None:
    columns = {"corpus": np.array(["pile", "c4", "pile"]), "N": np.array([1.0, 2.0, 3.0])}
    found = formula.parse("corpus == 'pile' and not N > 2 or N == 2", conditions=True).value(columns)
    assert found.tolist() == [True, True, False]


def test_derivatives_go_through_every_function() -> None:
    text = "sqrt(x) * exp(-x / y) + log(y) ** x - min(x, y) + max(x * y, 1) + abs(-x) + 2 ** x + x ** 3"
    read = formula.parse(text).value

    def plain(x: float, y: float) -> float:
        return float(read({"x": x, "y": y}))

    dual = read({"x": Dual(1.3, {0: 1.0}), "y": Dual(2.1, {1: 1.0})})
    assert dual.value == pytest.approx(plain(1.3, 2.1))
    step = 1e-6
    assert dual.partials[0] == pytest.approx((plain(1.3 + step, 2.1) - plain(1.3 - step, 2.1)) / (2 * step))
    assert dual.partials[1] == pytest.approx((plain(1.3, 2.1 + step) - plain(1.3, 2.1 - step)) / (2 * step))


def test_names_are_told_in_order() -> None:
    assert formula.parse("E + A / `Model Size`**alpha").names == ("E", "A", "Model Size", "alpha")


def test_a_power_of_a_number_is_a_float() -> None:
    assert formula.parse("x ** 0.5 * 2").value({"x": 4.0}) == 4.0
    with np.errstate(over="ignore"):
        assert math.isinf(formula.parse("exp(x)").value({"x": np.float64(1e6)}))
