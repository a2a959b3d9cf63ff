"""By what runs are put in groups, and the query that finds a group again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Func, TextField

from webapp.metrics.table.fields import path_of
from webapp.runs import language
from webapp.runs.errors import Invalid
from webapp.runs.language import columns, types
from webapp.runs.language.parsing import Fault
from webapp.runs.language.tree import And, Comparison, Name, Node, Not, Number, Or, Text
from webapp.runs.language.types import Expression

MOST_KEYS = 3
ALIASES = {"state": "status", "method": "params.method", "tag": "tags", "by": "user"}
PART = re.compile(r'(?:"(?:[^"]|"")*"|`(?:[^`]|``)*`|[^,])+')
NUMERIC = re.compile(r"-?\d+(?:\.\d+)?")
GROUPED = (types.TEXT, types.WHOLE, types.TAGS, types.JSON, columns.STATUS)


class EachTag(Func):
    """A row for each tag, and one without for a run that has none."""

    template = "unnest(CASE WHEN cardinality(%(expressions)s) = 0 THEN ARRAY[NULL]::varchar[] ELSE %(expressions)s END)"
    set_returning = True
    output_field = TextField()


# The text of a JSON value, as the language compares it; numbers that are equal are written alike.
JSON_TEXT = """CASE jsonb_typeof({0}) WHEN 'string' THEN {0} #>> '{{}}'
    WHEN 'number' THEN trim_scale({0}::numeric)::text
    WHEN 'object' THEN coalesce({0} ->> 'name', {0}::text) WHEN 'null' THEN NULL ELSE {0}::text END"""


@dataclass(frozen=True)
class Key:
    """Groups are told apart by a text and by whether it is a number: 8 and 8.0 are one value, 8 and '8' are two."""

    name: str
    path: Name
    expression: Expression
    type: types.Type

    def text(self, column: str) -> str:
        """SQL of the text of this key's value in a column; that is read once, and looked at several times."""
        return JSON_TEXT.format(column) if self.type is types.JSON else f"{column}::text"

    def is_number(self, column: str) -> str:
        if self.type is types.JSON:
            return f"coalesce(jsonb_typeof({column}) = 'number', false)"
        return "true" if self.type is types.WHOLE else "false"

    @property
    def is_tag(self) -> bool:
        return self.type is types.TAGS

    @property
    def label(self) -> str:
        return ".".join(self.path.parts[1:]) if len(self.path.parts) > 1 else self.path.parts[0]


@dataclass(frozen=True)
class KeyValue:
    """None where the run has no such value."""

    text: str | None
    is_number: bool


def keys_of(asked: str) -> list[Key]:
    """From `params.method.name,params.optimizer.lr`. Raises Invalid."""
    names = list(dict.fromkeys(part.strip() for part in PART.findall(asked.replace("\x00", "")) if part.strip()))
    if not 1 <= len(names) <= MOST_KEYS:
        raise Invalid.field(
            "group", f"group must be one to {MOST_KEYS} columns, separated by commas, not {len(names)}."
        )
    return [_key(name) for name in names]


def _key(name: str) -> Key:
    path = path_of(ALIASES.get(name.lower(), name))
    try:
        column = columns.find(path) if path is not None else None
    except Fault:
        column = None
    if path is None or column is None or column.type not in GROUPED:
        known = "params.<path>, method, tag, user, status, kind, queue, project, phase, error, priority, gpus"
        raise Invalid.field("group", f"group must be of {known}, not {name[:80]!r}.")
    expression = EachTag(column.expression) if column.type is types.TAGS else column.expression
    return Key(name, path, expression, column.type)


def query_of(keys: Sequence[Key], values: Sequence[KeyValue], q: str = "") -> str | None:
    """The query that finds exactly the runs of a group among those that `q` finds.

    None where the language can't say it: what is too long, or a value of characters that no query may have.
    """
    nodes = [_condition(key, value) for key, value in zip(keys, values, strict=True)]
    base = language.parse(q) if language.is_query(q) else words_node(q)
    parts = [*(base.nodes if isinstance(base, And) else [base] if base else []), *nodes]
    text = language.text_of(And(tuple(parts)) if len(parts) > 1 else parts[0])
    try:
        language.condition(text)
    except language.BadQuery:
        return None
    return text if language.is_query(text) else None


def _condition(key: Key, value: KeyValue) -> Node:
    if value.text is None:
        return Comparison(key.path, "is null")
    number = _number(value.text)
    if value.is_number and number is not None:
        return Comparison(key.path, "=", (number,))
    same_text = Comparison(key.path, "=", (Text(value.text),))
    if key.type is types.JSON and not value.is_number and number is not None:  # in quotes the number is found too
        return And((same_text, Not(Comparison(key.path, "=", (number,)))))
    return same_text


def _number(text: str) -> Number | None:
    """None for what is no number, and for one that a float would round."""
    if not NUMERIC.fullmatch(text):
        return None
    if "." not in text:
        return Number(int(text)) if len(text) < 300 else None
    number = float(text)
    return Number(number) if Decimal(repr(number)) == Decimal(text) else None


def words_node(q: str) -> Node | None:
    """What plain words find (see runs.tables.matching), as a query."""
    nodes = [_word(word) for word in q.replace("\x00", "").encode(errors="ignore").decode().split()[:10]]
    return None if not nodes else nodes[0] if len(nodes) == 1 else And(tuple(nodes))


def _word(word: str) -> Node:
    exactly = re.sub(r"([\\%_])", r"\\\1", word)
    within = (Text(f"%{exactly}%"),)
    number = word.removeprefix("#")
    nodes: list[Node] = [
        Comparison(Name(("name",)), "ilike", within),
        Comparison(Name(("kind",)), "ilike", (Text(exactly),)),
        Comparison(Name(("tags",)), "ilike", within),
        Comparison(Name(("params", "method", "name")), "ilike", within),
    ]
    if number.isascii() and number.isdigit() and len(number) < 19:
        nodes.append(Comparison(Name(("id",)), "=", (Number(int(number)),)))
    return Or(tuple(nodes))
