"""Formulas that a person types, like `E + A / N**alpha`: a small language that can only compute. Never `eval`.

Numbers, names, text in quotes (to compare with), + - * / **, comparisons, and, or, not, parentheses, and the functions
exp, log, sqrt, abs, min and max. A name that is no word stands in backquotes: `` `Model Size` ``. Arrays compute entry
by entry; `smooth.Dual`s bring derivatives along. Free of numpy until something is computed.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from gpu_jobs import smooth
from gpu_jobs.errors import MethodError

LONGEST, MOST_DEPTH = 1000, 40
_QUOTED = re.compile(r"`([^`]+)`")


class Formula(NamedTuple):
    """`names` are those it reads, in order; `value` computes it of a mapping that has them all."""

    text: str
    names: tuple[str, ...]
    value: Callable[[Mapping[str, Any]], Any]


def parse(text: str, *, conditions: bool = False) -> Formula:
    """The formula. Comparisons and text are for `conditions` alone. Raises MethodError that says where it ends."""
    quoted: dict[str, str] = {}

    def word(match: re.Match[str]) -> str:
        return quoted.setdefault(match[1], f"__{len(quoted)}__")

    if len(text) > LONGEST:
        raise MethodError(f"a formula must not be longer than {LONGEST} characters: {len(text)}")
    bare = _QUOTED.sub(word, text.strip())
    try:
        tree = ast.parse(bare, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise MethodError(f"{text[:200]!r} is not a formula: write it like E + A / N**alpha") from error
    reading = _Reading(text, {short: name for name, short in quoted.items()}, {}, conditions=conditions)
    value = reading.compile(tree, 0)
    return Formula(text, tuple(reading.names), value)


_Closure = Callable[[Mapping[str, Any]], Any]


class _Reading:
    def __init__(self, text: str, quoted: Mapping[str, str], names: dict[str, None], *, conditions: bool) -> None:
        self.text, self.quoted, self.names, self.conditions = text, quoted, names, conditions

    def compile(self, node: ast.expr, depth: int) -> _Closure:
        """A function of the names' values. Raises MethodError at what the language does not have."""
        if depth > MOST_DEPTH:
            self._refuse(f"it is nested more than {MOST_DEPTH} deep")
        match node:
            case ast.Constant(value=bool() | None):
                pass
            case ast.Constant(value=int() | float() as number):
                constant = float(number)
                return lambda values: constant
            case ast.Constant(value=str() as letters) if self.conditions:
                return lambda values: letters
            case ast.Name(id=name):
                return self._name(self.quoted.get(name, name))
            case ast.BinOp(left=left, right=right) if type(node.op) in _BINARY:
                return _applied(_BINARY[type(node.op)], self.compile(left, depth + 1), self.compile(right, depth + 1))
            case ast.UnaryOp(operand=operand) if type(node.op) in _UNARY:
                return _applied(_UNARY[type(node.op)], self.compile(operand, depth + 1))
            case ast.Call(func=ast.Name(id=name), args=given, keywords=[]) if name in _FUNCTIONS:
                return self._call(name, given, depth)
            case _ if self.conditions:
                return self._condition(node, depth)
        return self._refuse(f"{ast.unparse(node)[:40]!r} is not part of this language")

    def _name(self, name: str) -> _Closure:
        self.names[name] = None
        return lambda values: values[name]

    def _call(self, name: str, given: list[ast.expr], depth: int) -> _Closure:
        takes, function = _FUNCTIONS[name]
        if len(given) != takes:
            self._refuse(f"{name} takes {takes} {'value' if takes == 1 else 'values'}, not {len(given)}")
        return _applied(function, *(self.compile(argument, depth + 1) for argument in given))

    def _condition(self, node: ast.expr, depth: int) -> _Closure:
        match node:
            case ast.Compare(left=left, ops=[operation], comparators=[right]) if type(operation) in _COMPARISONS:
                sides = self.compile(left, depth + 1), self.compile(right, depth + 1)
                return _applied(_COMPARISONS[type(operation)], *sides)
            case ast.BoolOp(op=operation, values=[first, *rest]):
                found = self.compile(first, depth + 1)
                both = operator.and_ if isinstance(operation, ast.And) else operator.or_
                for item in rest:
                    found = _applied(both, found, self.compile(item, depth + 1))
                return found
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return _applied(operator.invert, self.compile(operand, depth + 1))
        return self._refuse(f"{ast.unparse(node)[:40]!r} is not part of this language")

    def _refuse(self, why: str) -> NoReturn:
        raise MethodError(f"{self.text[:200]!r} is not a formula: {why}")


def _applied(function: Callable[..., Any], *sides: _Closure) -> _Closure:
    if len(sides) == 1:
        only = sides[0]
        return lambda values: function(only(values))
    left, right = sides
    return lambda values: function(left(values), right(values))


_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "exp": (1, smooth.exp), "log": (1, smooth.log), "sqrt": (1, smooth.sqrt), "abs": (1, smooth.absolute),
    "min": (2, smooth.minimum), "max": (2, smooth.maximum),
}  # fmt: skip
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip
