"""Constraints on a point, like `rank <= 2 * alpha`: a small language that can only compute, and only briefly."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from webapp.accounts.errors import Invalid

MOST_DEPTH = 40
BITS = 1024  # larger whole powers are computed as floats
CANNOT = (ArithmeticError, ValueError, TypeError)  # division by zero, log2(0), "lora" < 3


class Expression(NamedTuple):
    text: str
    tree: ast.expr
    paths: Mapping[str, str]  # a name as written -> the path in params

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether a point meets it. It does where one of its names is inactive; not where it can't be computed."""
        if not all(path in params for path in self.paths.values()):
            return True
        try:
            return bool(self.value(params))
        except CANNOT:
            return False

    def value(self, params: Mapping[str, Any]) -> Any:
        """Raises one of CANNOT. Every name must be in `params`."""
        return _value(self.tree, {name: params[path] for name, path in self.paths.items()})


def compile(text: str, names: Iterable[str]) -> Expression:  # noqa: A001 - as re.compile
    """Reads a constraint. Names are dotted paths, or their last part where only one path ends so.

    Numbers, strings, True, False, None, names, + - * / // % **, comparisons, `in (...)`, and, or, not, parentheses,
    min, max, abs, log2. Raises Invalid, which tells the character at which it can't be read.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        hint = " (to compare write ==)" if _has_single_equals(text) else ""
        place = (getattr(error, "offset", None) or len(text) + 1) - 1  # none where the end came too soon
        _refuse(text, place, f"this is not an expression{hint}")
    reading = _Reading(text.strip(), list(names), {})
    reading.check(tree, 0)
    return Expression(text, tree, reading.paths)


class _Reading(NamedTuple):
    text: str
    names: list[str]
    paths: dict[str, str]

    def check(self, node: ast.expr, depth: int) -> None:
        """Raises Invalid at what the language does not have; collects the names."""
        if depth > MOST_DEPTH:
            self._refuse(node, f"it is nested more than {MOST_DEPTH} deep")
        match node:
            case ast.Constant(value=str() | int() | float() | None) | ast.Tuple() | ast.List():
                pass
            case ast.Name() | ast.Attribute():
                return self._name(node)
            case ast.Call(func=ast.Name(id=name), args=[_, *_], keywords=[]) if name in _FUNCTIONS:
                self._check_call(node, name)
            case ast.BinOp() if type(node.op) in _BINARY:
                pass
            case ast.UnaryOp() if type(node.op) in _UNARY:
                pass
            case ast.BoolOp():
                pass
            case ast.Compare() if all(type(op) in _COMPARISONS for op in node.ops):
                pass
            case _:
                self._refuse(node, f"{ast.unparse(node)[:40]!r} is not part of this language")
        for child in _operands(node):
            self.check(child, depth + 1)
        return None

    def _check_call(self, node: ast.Call, name: str) -> None:
        if name in ("abs", "log2") and len(node.args) != 1:
            self._refuse(node, f"{name} takes one number")
        if name in ("min", "max") and len(node.args) < 2:
            self._refuse(node, f"{name} takes two numbers or more")
        if starred := [argument for argument in node.args if isinstance(argument, ast.Starred)]:
            self._refuse(starred[0], "* is not part of this language here")

    def _name(self, node: ast.Name | ast.Attribute) -> None:
        written = _dotted(node)
        if written is None:
            self._refuse(node, f"{ast.unparse(node)[:40]!r} is not a name")
        if written in self.names:
            self.paths[written] = written
            return
        found = [name for name in self.names if name.rpartition(".")[2] == written]
        if len(found) > 1:
            self._refuse(node, f"{written!r} may be {' or '.join(sorted(found))}: write the whole path")
        if not found:
            self._refuse(node, f"{written!r} is not in the space, which has {', '.join(sorted(self.names))}")
        self.paths[written] = found[0]

    def _refuse(self, node: ast.expr, why: str) -> NoReturn:
        _refuse(self.text, len(self.text.encode()[: node.col_offset].decode(errors="ignore")), why)


def _refuse(text: str, place: int, why: str) -> NoReturn:
    raise Invalid.field("constraints", f"{text[:200]!r}: at character {place + 1}, {why}.")


def _has_single_equals(text: str) -> bool:
    bare = text
    for operation in ("==", "<=", ">=", "!="):
        bare = bare.replace(operation, "")
    return "=" in bare


def _dotted(node: ast.expr) -> str | None:
    """`a.b.c` of a chain of attributes; None when something else is in it."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (parent := _dotted(node.value)) is not None:
        return f"{parent}.{node.attr}"
    return None


def _operands(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.Tuple(elts=found) | ast.List(elts=found) | ast.Call(args=found) | ast.BoolOp(values=found):
            return found
        case ast.BinOp():
            return [node.left, node.right]
        case ast.UnaryOp():
            return [node.operand]
        case ast.Compare():
            return [node.left, *node.comparators]
    return []


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Tuple() | ast.List():
            return [_value(item, values) for item in node.elts]
        case ast.Name() | ast.Attribute():
            return values[str(_dotted(node))]
        case ast.BinOp():
            return _BINARY[type(node.op)](*(_number(_value(side, values)) for side in (node.left, node.right)))
        case ast.UnaryOp():
            operand = _value(node.operand, values)
            return not operand if isinstance(node.op, ast.Not) else _UNARY[type(node.op)](_number(operand))
        case ast.BoolOp():
            return _either(node, values)
        case ast.Compare():
            return _compared(node, values)
        case ast.Call(func=ast.Name(id=name)):
            return _FUNCTIONS[name](*(_number(_value(argument, values)) for argument in node.args))
    raise TypeError(f"{type(node).__name__} was not refused when it was read")


def _either(node: ast.BoolOp, values: Mapping[str, Any]) -> Any:
    """As Python does: the value that decides, and nothing after it is computed."""
    stops = isinstance(node.op, ast.Or)
    value: Any = None
    for item in node.values:
        value = _value(item, values)
        if bool(value) is stops:
            break
    return value


def _compared(node: ast.Compare, values: Mapping[str, Any]) -> bool:
    left = _value(node.left, values)
    for operation, item in zip(node.ops, node.comparators, strict=True):
        right = _value(item, values)
        if not _COMPARISONS[type(operation)](left, right):
            return False
        left = right
    return True


def _number(value: Any) -> int | float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return value


def _power(base: float, exponent: float) -> Any:
    """Whole powers exactly while they are short, everything else as floats: 9**9**9 overflows at once."""
    if isinstance(base, int) and isinstance(exponent, int) and 0 <= exponent * base.bit_length() <= BITS:
        return base**exponent
    return math.pow(base, exponent)


_FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs, "log2": math.log2}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: _power,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Not: operator.not_,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne, ast.In: lambda item, group: item in group, ast.NotIn: lambda item, group: item not in group,
}  # fmt: skip
