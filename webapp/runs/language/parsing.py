"""Text to tree: a recursive descent that knows at every character what may come next, and says so when it doesn't."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from webapp.runs.language.errors import BadQuery
from webapp.runs.language.tree import And, Comparison, Duration, Name, Node, Not, Number, Or, Text, Value

MOST_CHARACTERS = 2000
MOST_COMPARISONS = 50
DEEPEST = 30
KEYWORDS = frozenset({"and", "or", "not", "in", "like", "ilike", "is", "null"})

BLANK = re.compile(r"\s*")
PART = re.compile(r"[\w/-]+")
QUOTED_NAME = re.compile(r'"((?:[^"]|"")+)"|`((?:[^`]|``)+)`')
SIGN = re.compile(r"!=|<>|<=|>=|==|=|<|>")
DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+(?![\w.])", re.IGNORECASE | re.ASCII)
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?(?![\w.])", re.IGNORECASE | re.ASCII)
NOT_FINITE = re.compile(r"(nan|[+-]?inf(?:inity)?)(?![\w/.-])", re.IGNORECASE)
QUOTED_TEXT = re.compile(r"'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"")
WORD = re.compile(r"[^\W\d][\w/-]*")
SAME = {"<>": "!=", "==": "="}

A_COLUMN = "a column"
A_VALUE = "a value"
A_SIGN = "=, !=, <, <=, >, >=, in, like, ilike or is"
JUNCTION = "and, or, or the end"


class Expected(NamedTuple):
    """What may come at a place: "column", "operator", "value" or "junction"; `column` is what it is for."""

    what: str
    column: Name | None = None
    is_listed: bool = False


class Fault(Exception):  # noqa: N818 - it becomes a BadQuery, which people see
    """Something wrong at a character of the text; `may_be` is what completion offers there."""

    def __init__(self, at: int, expected: str, may_be: Expected | None = None) -> None:
        super().__init__(expected)
        self.at, self.expected, self.may_be = at, expected, may_be


def parse(text: str) -> Node:
    """Raises BadQuery."""
    try:
        return Parser(text).whole()
    except Fault as fault:
        raise BadQuery(text, fault.at, fault.expected) from None


class Parser:
    """One text, read from `at` on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.comparisons = 0

    def whole(self) -> Node:
        self.check()
        node = self.either()
        self.skip_blank()
        if self.at < len(self.text):
            raise self.fault(JUNCTION, Expected("junction"))
        return node

    def alone(self) -> Name:
        """A column and nothing else."""
        self.check()
        column = self.column()
        self.skip_blank()
        if self.at < len(self.text):
            raise self.fault("the end")
        return column

    def check(self) -> None:
        if len(self.text) > MOST_CHARACTERS:
            raise Fault(MOST_CHARACTERS, f"the end (a query has at most {MOST_CHARACTERS} characters)")
        for place, character in enumerate(self.text):
            if character == "\x00" or "\ud800" <= character <= "\udfff":
                raise Fault(place, "a character of text")

    def either(self) -> Node:
        nodes = [self.both()]
        while self.keyword("or"):
            nodes.append(self.both())
        return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))

    def both(self) -> Node:
        nodes = [self.negated()]
        while self.keyword("and"):
            nodes.append(self.negated())
        return nodes[0] if len(nodes) == 1 else And(tuple(nodes))

    def negated(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fault(f"at most {DEEPEST} parentheses and nots inside each other")
        if self.keyword("not"):
            node: Node = Not(self.negated())
        elif self.sign("("):
            node = self.either()
            self.need(")", ") or and or or", Expected("junction"))
        else:
            node = self.comparison()
        self.depth -= 1
        return node

    def comparison(self) -> Comparison:
        self.comparisons += 1
        if self.comparisons > MOST_COMPARISONS:
            raise self.fault(f"at most {MOST_COMPARISONS} comparisons")
        column = self.column()
        self.skip_blank()
        sign = SIGN.match(self.text, self.at)
        if sign:
            self.at = sign.end()
            return Comparison(column, SAME.get(sign[0], sign[0]), (self.value(column),))
        return self.worded(column)

    def worded(self, column: Name) -> Comparison:
        if self.keyword("is"):
            operator = "is not null" if self.keyword("not") else "is null"
            if not self.keyword("null"):
                raise self.fault("null", Expected("null"))
            return Comparison(column, operator)
        before = "not " if self.keyword("not") else ""
        for operator in ("like", "ilike"):
            if self.keyword(operator):
                return Comparison(column, before + operator, (self.value(column),))
        if self.keyword("in"):
            return Comparison(column, f"{before}in", self.values(column))
        raise self.fault("in, like or ilike" if before else A_SIGN, Expected("operator", column))

    def column(self) -> Name:
        self.skip_blank()
        start, parts = self.at, [self.name(Expected("column"))]
        while self.text.startswith(".", self.at):
            self.at += 1
            parts.append(self.name(Expected("column", Name(tuple(parts), start))))
        if len(parts) == 1 and parts[0].lower() in KEYWORDS and self.text[start] not in '"`':
            self.at = start
            raise self.fault(A_COLUMN, Expected("column"))
        return Name(tuple(parts), start)

    def name(self, may_be: Expected) -> str:
        quoted = QUOTED_NAME.match(self.text, self.at)
        if quoted:
            self.at = quoted.end()
            return quoted[1].replace('""', '"') if quoted[1] is not None else quoted[2].replace("``", "`")
        if self.text[self.at : self.at + 1] in ('"', "`"):
            closed = self.text[self.at]
            raise Fault(len(self.text), f"{closed} at the end of the name", may_be)
        plain = PART.match(self.text, self.at)
        if not plain:
            raise self.fault(A_COLUMN if may_be.column is None else "a name after the dot", may_be)
        self.at = plain.end()
        return plain[0]

    def values(self, column: Name) -> tuple[Value, ...]:
        self.need("(", "(", Expected("list", column))
        found = [self.value(column, is_listed=True)]
        while self.sign(","):
            found.append(self.value(column, is_listed=True))
        self.need(")", ", or )", Expected("more", column))
        return tuple(found)

    def value(self, column: Name, is_listed: bool = False) -> Value:
        self.skip_blank()
        start, text, may_be = self.at, self.text, Expected("value", column, is_listed)
        if quoted := QUOTED_TEXT.match(text, start):
            self.at = quoted.end()
            single, double = quoted.groups()
            return Text(single.replace("''", "'") if single is not None else double.replace('""', '"'), start)
        if text[start : start + 1] in ("'", '"'):
            raise Fault(len(text), f"{text[start]} at the end of the text", may_be)
        for pattern, made in ((NOT_FINITE, _not_finite), (DURATION, _duration), (NUMBER, _number), (WORD, _word)):
            if found := pattern.match(text, start):
                self.at = found.end()
                if (value := made(found[0], start)) is not None:
                    return value
                self.at = start
        raise self.fault(A_VALUE, may_be)

    def keyword(self, word: str) -> bool:
        self.skip_blank()
        found = WORD.match(self.text, self.at)
        if not found or found[0].lower() != word or self.text[found.end() : found.end() + 1] == ".":
            return False
        self.at = found.end()
        return True

    def sign(self, character: str) -> bool:
        self.skip_blank()
        if not self.text.startswith(character, self.at):
            return False
        self.at += 1
        return True

    def need(self, character: str, expected: str, may_be: Expected) -> None:
        if not self.sign(character):
            raise self.fault(expected, may_be)

    def skip_blank(self) -> None:
        found = BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def fault(self, expected: str, may_be: Expected | None = None) -> Fault:
        return Fault(self.at, expected, may_be)


def _not_finite(text: str, at: int) -> Value:
    if text.lower() == "nan":
        return Number(math.nan, at)
    return Number(-math.inf if text.startswith("-") else math.inf, at)


def _duration(text: str, at: int) -> Value | None:
    found = Duration(text.lower(), at)
    return found if found.seconds < 1e15 else None


def _number(text: str, at: int) -> Value | None:
    """None for what is beyond a float."""
    value = float(text)
    if math.isinf(value):
        return None
    whole = re.fullmatch(r"[+-]?\d+", text) is not None
    return Number(int(text) if whole else value, at)


def _word(text: str, at: int) -> Value | None:
    return None if text.lower() in KEYWORDS else Text(text, at)
