"""What is wrong with a query, at which character."""

from __future__ import annotations

from webapp.accounts.errors import Invalid

SHOWN = 60  # characters before and after the fault that the message repeats


class BadQuery(Invalid):
    """`position` counts characters from 0; `expected` is a phrase. The message ends with the text and a caret below."""

    def __init__(self, text: str, position: int, expected: str) -> None:
        self.position, self.expected = position, expected
        found = f"not {_word_at(text, position)!r}" if position < len(text) else "but the query ends there"
        self.sentence = f"q: expected {expected} at character {position + 1}, {found}."
        super().__init__([{"loc": ["q"], "msg": f"{self.sentence}\n{pointed(text, position)}"}])


def pointed(text: str, position: int) -> str:
    """The text around a character in one line, and below it a caret under that character."""
    start = max(0, position - SHOWN)
    line = "".join(character if character.isprintable() else " " for character in text[start : position + SHOWN])
    return f"{line}\n{' ' * (position - start)}^"


def _word_at(text: str, position: int) -> str:
    rest = text[position : position + 30]
    return rest.split()[0] if rest.split() and not rest[0].isspace() else rest[:1]
