"""Tree to text: `parse(text_of(tree)) == tree`."""

from __future__ import annotations

import math
import re

from webapp.runs.language.parsing import KEYWORDS
from webapp.runs.language.tree import And, Comparison, Duration, Name, Node, Not, Number, Or, Text, Value

PLAIN = re.compile(r"[\w/-]+")


def text_of(node: Node) -> str:
    """With no more parentheses than it takes to be read back as it is."""
    if isinstance(node, Comparison):
        return _comparison(node)
    if isinstance(node, Not):
        return f"not {_inside(node.node, And | Or)}"
    if isinstance(node, And):
        return " and ".join(_inside(part, And | Or) for part in node.nodes)
    return " or ".join(_inside(part, Or) for part in node.nodes)


def name_text(name: Name) -> str:
    return ".".join(part_text(part, alone=len(name.parts) == 1) for part in name.parts)


def part_text(part: str, alone: bool = False) -> str:
    """Quoted where it must be."""
    if PLAIN.fullmatch(part) and not (alone and part.lower() in KEYWORDS):
        return part
    return '"' + part.replace('"', '""') + '"'


def value_text(value: Value) -> str:
    if isinstance(value, Text):
        return "'" + value.value.replace("'", "''") + "'"
    if isinstance(value, Duration):
        return value.text
    return _number(value)


def _inside(node: Node, looser: object) -> str:
    return f"({text_of(node)})" if isinstance(node, looser) else text_of(node)  # type: ignore[arg-type]


def _comparison(node: Comparison) -> str:
    column = name_text(node.column)
    if not node.values:
        return f"{column} {node.operator}"
    if node.operator.endswith("in"):
        return f"{column} {node.operator} ({', '.join(map(value_text, node.values))})"
    return f"{column} {node.operator} {value_text(node.values[0])}"


def _number(value: Number) -> str:
    if isinstance(value.value, float) and math.isinf(value.value):
        return "inf" if value.value > 0 else "-inf"
    return repr(value.value)
