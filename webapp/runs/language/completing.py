"""What may follow at the cursor: the parser says what it waits for, the project's newest runs say which there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from django.db.models import QuerySet

from webapp.runs.language.columns import COLUMNS, FAMILIES, Column, Family, find
from webapp.runs.language.parsing import MOST_CHARACTERS, NUMBER, Expected, Fault, Parser
from webapp.runs.language.printing import part_text
from webapp.runs.language.tree import Name
from webapp.runs.models import Run

MOST = 30
QUOTED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`"
PIECES = re.compile(rf"{QUOTED}|(?P<typed>[\w/-]+|['\"`].*)|.", re.DOTALL)
OPERATORS = {"=": ("=", "!="), "in": ("in (", "not in ("), "like": ("like", "not like"),
             "ilike": ("ilike", "not ilike"), "is": ("is null", "is not null")}  # fmt: skip
Runs = QuerySet[Run]


class Item(NamedTuple):
    """`text` is what is put into the query, `label` what is shown, `kind` what it is."""

    text: str
    label: str
    kind: str


class Completion(NamedTuple):
    """The items may stand in place of the characters from `start` to `end`."""

    start: int
    end: int
    items: Sequence[Item]


def complete(text: str, at: int, runs: Runs) -> Completion:
    """At most 30 items, those that begin with what is typed first. Reads the newest runs only."""
    at = max(0, min(at, len(text), MOST_CHARACTERS))
    start = _start(text[:at])
    typed = text[start:at]
    found = _items(text[:start], typed, runs)
    return Completion(start, at, list(islice(_spaced(text[:start], found), MOST)))


def _start(text: str) -> int:
    """Where the piece begins that is being typed; a quoted one that is closed is not typed any more."""
    start = len(text)
    for piece in PIECES.finditer(text):
        is_last = piece.end() == len(text)
        start = piece.start() if is_last and piece["typed"] is not None else len(text)
    return start


def _items(before: str, typed: str, runs: Runs) -> Iterable[Item]:
    expected = _expected(before, typed)
    if expected is None:
        return ()
    return OFFERS[expected.what](expected, before, typed, runs)


def _expected(before: str, typed: str) -> Expected | None:
    """What may come at the end; None where the text is wrong before."""
    try:
        Parser(typed).check()
        Parser(before).whole()
    except Fault as fault:
        return fault.may_be if fault.at >= len(before.rstrip()) else None
    return Expected("junction")


def _columns(expected: Expected, before: str, typed: str, runs: Runs) -> Iterator[Item]:
    if expected.column is not None:
        yield from _below(expected.column, typed, runs)
        return
    if typed[:1] in ("'", '"', "`"):
        return
    words = [Item(name, name, "column") for name in COLUMNS]
    words += [Item(f"{family}.", f"{family}.", "column") for family in FAMILIES]
    yield from _fitting(words, typed)
    if typed:
        yield from _fitting([Item("not ", "not", "keyword")], typed)
    if len(typed) > 1:
        for family in FAMILIES.values():
            yield from _paths(family, typed, runs)


def _paths(family: Family, typed: str, runs: Runs) -> Iterator[Item]:
    """Columns that are found by a part of their name, without their family's in front."""
    for path in family.names(runs, typed):
        label = ".".join((family.name, *path))
        if typed.lower() in label.lower():
            yield Item(_written(family, path), label, family.name)


def _written(family: Family, path: Sequence[str]) -> str:
    return ".".join((family.name, *map(part_text, path)))


def _below(column: Name, typed: str, runs: Runs) -> Iterator[Item]:
    """The next part of a path: names, and words that end one."""
    head, *path = column.parts
    family = FAMILIES.get(head.lower())
    if family is None:
        return
    wanted = typed.lstrip("\"`'")
    parts = dict.fromkeys(
        found[len(path)] for found in family.names(runs, wanted if not path else "")
        if len(found) > len(path) and list(found[: len(path)]) == path
    )  # fmt: skip
    yield from _fitting([Item(part_text(part), part, family.name) for part in parts], wanted)
    if path:
        yield from _fitting([Item(ending, ending, "keyword") for ending in family.endings], wanted)


def _operators(expected: Expected, before: str, typed: str, runs: Runs) -> Iterator[Item]:
    column = _column(expected)
    if column is None:
        return
    is_turned = re.search(r"\bnot\s*$", before, re.IGNORECASE) is not None
    words = [word for operator in column.type.operators for word in OPERATORS.get(operator, (operator,))]
    if is_turned:
        words = [word.removeprefix("not ") for word in words if word.startswith("not ")]
    yield from _fitting([Item(f"{word} " if word[-1] != "(" else word, word, "operator") for word in words], typed)


def _values(expected: Expected, before: str, typed: str, runs: Runs) -> Iterator[Item]:
    column = _column(expected)
    if column is not None:
        wanted = typed[1:] if typed[:1] in ("'", '"') else typed
        yield from _fitting([Item(_value(column, value), value, "value") for value in column.values(runs)], wanted)


def _value(column: Column, value: str) -> str:
    """A number as it is, where a number may be meant; everything else in quotes."""
    if column.type.name != "tags" and "number" in column.type.name and NUMBER.fullmatch(value):
        return value
    return "'" + value.replace("'", "''") + "'"


def _column(expected: Expected) -> Column | None:
    try:
        return find(expected.column) if expected.column else None
    except Fault:
        return None


def _junctions(expected: Expected, before: str, typed: str, runs: Runs) -> Iterator[Item]:
    words = [Item("and ", "and", "keyword"), Item("or ", "or", "keyword")]
    yield from _fitting(words, typed)
    if before.count("(") > before.count(")") and not typed:
        yield Item(")", ")", "keyword")


def _signs(*signs: str) -> Callable[[Expected, str, str, Runs], Iterable[Item]]:
    def items(expected: Expected, before: str, typed: str, runs: Runs) -> Iterable[Item]:
        return _fitting([Item(sign, sign.strip(), "keyword") for sign in signs], typed)

    return items


OFFERS: dict[str, Callable[[Expected, str, str, Runs], Iterable[Item]]] = {
    "column": _columns,
    "operator": _operators,
    "value": _values,
    "junction": _junctions,
    "list": _signs("("),
    "more": _signs(", ", ")"),
    "null": _signs("null ", "not null "),
}


def _fitting(items: Sequence[Item], typed: str) -> list[Item]:
    """Those that begin with it, then those that contain it."""
    small = typed.lower()
    begun = [item for item in items if item.label.lower().startswith(small)]
    return begun + [item for item in items if small in item.label.lower() and item not in begun]


def _spaced(before: str, items: Iterable[Item]) -> Iterator[Item]:
    """A word that would stick to what is before it has a blank in front; each text once."""
    seen: set[str] = set()
    sticks = bool(before) and not before[-1].isspace() and before[-1] not in "(.,=<>!"
    for item in items:
        if item.text not in seen:
            seen.add(item.text)
            yield item._replace(text=f" {item.text}") if sticks and item.text[0] not in ",)" else item
