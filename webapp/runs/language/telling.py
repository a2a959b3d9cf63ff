"""Whether text is of the language or plain words; the rule stands in the package's docstring."""

from __future__ import annotations

import re

from webapp.runs.language.columns import known

QUOTES = re.compile(r"'(?:[^']|'')*'?|\"(?:[^\"]|\"\")*\"?|`[^`]*`?")
ALONE = re.compile(r"(?:^|\s)(?:=|==|!=|<>|<|<=|>|>=)(?:\s|$)")
BEFORE = re.compile(r"\s*(?:\(\s*|not[\s(]+)*", re.IGNORECASE)
FIRST = re.compile(r"(\w+)\s*(\.|=|!=|<|>)?")
WORDED = re.compile(r"\s(?:not\s+)?(?:in\s*\(|i?like\s*['\"]|is\s+(?:not\s+)?null\b)", re.IGNORECASE)


def is_query(text: str) -> bool:
    """True when the text must be parsed; then it may still be wrong."""
    if ALONE.search(QUOTES.sub("''", text)):
        return True
    before = BEFORE.match(text)
    first = FIRST.match(text, before.end() if before else 0)
    if not first:
        return False
    column, sign = known(first[1].lower()), first[2]
    if sign == ".":
        return column is not None and column.is_family
    return column is not None and (sign is not None or WORDED.match(text, first.end(1)) is not None)
