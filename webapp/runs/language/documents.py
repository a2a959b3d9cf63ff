"""Comparisons with what lies in a JSON document, in the words that cost PostgreSQL least.

`spec @> '{"method": {"name": "lora"}}'` is answered by the index runs_spec and estimated from a sample of the specs, so
that a query by a metric and a parameter begins with the rarer of the two. A JSON path looks at a number once. Both say
what types.compare_json says; what they can't say is left to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from django.db.models import BooleanField, F, Func, JSONField, Q, TextField, Value
from django.db.models.functions import Cast

from webapp.runs.language import tree

SIGNS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=": "=="}
Quick = Callable[[str, tree.Value], Q | None]


class Contains(Func):
    template = "(%(expressions)s)"
    arg_joiner = " @> "
    output_field = BooleanField()


class Matches(Func):
    """Whether a JSON path finds something; false where the path leads nowhere.

    Not the operator @?: Postgres guesses from 100 documents how many it finds, and is wrong where few are.
    """

    template = "(jsonb_path_exists(%(expressions)s::jsonpath, '{}', true) IS TRUE)"
    output_field = BooleanField()


def quick(field: str, parts: Sequence[str]) -> Quick:
    """Of the value at a path of the field."""

    def condition(operator: str, value: tree.Value) -> Q | None:
        if any(map(is_place, parts)):
            return None
        if isinstance(value, tree.Text):
            return _equal_text(field, parts, value.value) if operator == "=" else None
        if isinstance(value, tree.Number) and operator in SIGNS and abs(value.value) < float("inf"):
            return Q(Matches(F(field), Value(_path(parts, operator, value.value), TextField())))
        return None

    return condition


def is_place(part: str) -> bool:
    """Whether it may be that of something in a list."""
    try:
        return int(part) is not None
    except ValueError:
        return False


def _equal_text(field: str, parts: Sequence[str], text: str) -> Q | None:
    """Of an object its `name` is compared. A text that is JSON may stand for what is no text."""
    if _is_json(text):
        return None
    return Q(_contains(field, parts, text)) | Q(_contains(field, [*parts, "name"], text))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return text[:1] in ("{", "[")  # as Postgres writes them: not exactly as Python does
    return True


def _contains(field: str, parts: Sequence[str], text: str) -> Contains:
    document: Any = text
    for part in reversed(parts):
        document = {part: document}
    return Contains(F(field), Cast(Value(document, JSONField()), JSONField()))


def _path(parts: Sequence[str], operator: str, number: int | float) -> str:
    """Strict: a list is not searched for a number that fits."""
    keys = "".join(f".{json.dumps(part)}" for part in parts)
    return f"strict ${keys} ? (@ {SIGNS[operator]} {Decimal(repr(number)):f})"
