"""Tree to a condition on runs. Each comparison is true or false, never unknown, so `not` is its complement."""

from __future__ import annotations

from functools import reduce
from operator import or_

from django.db.models import Q

from webapp.runs.language.columns import Column, find
from webapp.runs.language.errors import BadQuery
from webapp.runs.language.parsing import Fault, Parser, parse
from webapp.runs.language.tree import And, Comparison, Node, Not, Text
from webapp.runs.paging import Order

INDEXED = ("metrics", "id", "status", "tags", "user")


def condition(text: str) -> Q:
    """What the runs must fulfil. Raises BadQuery, which points at the character."""
    node = parse(text)
    try:
        return _condition(node)
    except Fault as fault:
        raise BadQuery(text, fault.at, fault.expected) from None


def is_indexed(text: str) -> bool:
    """Whether each comparison is one that an index answers, so that what it finds can be counted."""
    return all(_is_indexed(comparison) for comparison in _comparisons(parse(text)))


def is_of_metrics(text: str) -> bool:
    """Whether it asks for metrics alone."""
    return all(comparison.column.parts[0].lower() == "metrics" for comparison in _comparisons(parse(text)))


def _comparisons(node: Node) -> list[Comparison]:
    if isinstance(node, Comparison):
        return [node]
    inner = (node.node,) if isinstance(node, Not) else node.nodes
    return [comparison for part in inner for comparison in _comparisons(part)]


def _is_indexed(comparison: Comparison) -> bool:
    head = comparison.column.parts[0].lower()
    if head == "params":
        return comparison.operator in ("=", "in") and all(isinstance(value, Text) for value in comparison.values)
    return head in INDEXED and not comparison.operator.endswith("like")


def order_of(name: str) -> Order:
    """How runs are sorted by a column, written as in a query. Raises BadQuery."""
    try:
        column = find(Parser(name).alone())
    except Fault as fault:
        raise BadQuery(name, fault.at, fault.expected) from None
    if column.type.name == "tags":
        raise BadQuery(name, 0, "a column of one value")
    return column.order or Order(column.expression)


def _condition(node: Node) -> Q:
    if isinstance(node, Comparison):
        return _comparison(node)
    if isinstance(node, Not):
        return ~_condition(node.node)
    found = _condition(node.nodes[0])
    for part in node.nodes[1:]:
        found = found & _condition(part) if isinstance(node, And) else found | _condition(part)
    return found


def _comparison(node: Comparison) -> Q:
    column = find(node.column)
    if node.operator in ("is null", "is not null"):
        there = column.within(column.type.present(column.expression))
        return there if node.operator == "is not null" else ~there
    is_turned = node.operator.startswith("not ") or node.operator == "!="
    operator = "=" if node.operator == "!=" else node.operator.removeprefix("not ")
    if operator not in column.type.operators:
        allowed = ", ".join(column.type.operators)
        raise Fault(node.values[0].at, f"no value after {operator}: {node.column.parts[0]} is compared by {allowed}")
    return column.within(_within(column, operator, node, is_turned))


def _within(column: Column, operator: str, node: Comparison, is_turned: bool) -> Q:
    """Present, and equal to one of the values; or present, and to none."""
    sign = "=" if operator == "in" else operator
    quick = [column.quick(sign, value) for value in node.values]
    if not is_turned and all(quick):
        return reduce(or_, (condition for condition in quick if condition is not None))
    found = Q()
    for value in node.values:
        found |= column.type.compare(column.expression, sign, value)
    there = Q() if column.type.name == "tags" else column.type.present(column.expression)
    return there & (~found if is_turned else found)
