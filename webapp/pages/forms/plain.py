"""Values of a search space as people type them: numbers, true, false, null, else words."""

from __future__ import annotations

import json
from collections.abc import Sequence

from webapp.pages.forms.values import written
from webapp.sweeps.definition import Plain


def plain_of(text: str) -> Plain:
    """ "0.1" -> 0.1, "true" -> True, "null" -> None, "lora" -> "lora"; quotes keep what is inside them a word."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, str | bool | int | float) or value is None else text


def plains_of(text: str) -> list[Plain]:
    """Several of them between commas, or a JSON array for words with commas in them."""
    if text.lstrip().startswith("["):
        try:
            values = json.loads(text)
            return values if isinstance(values, list) else [text]
        except (ValueError, RecursionError):
            return [text]
    return [plain_of(item.strip()) for item in text.split(",") if item.strip()]


def text_of(value: Plain) -> str:
    """What `plain_of` reads as this value again."""
    if value is None:
        return "null"
    text = written(value)
    return json.dumps(value) if plain_of(text) != value or type(plain_of(text)) is not type(value) else text


def texts_of(values: Sequence[Plain]) -> str:
    """What `plains_of` reads as these values again."""
    text = ", ".join(text_of(value) for value in values)
    return text if plains_of(text) == list(values) else json.dumps(list(values), ensure_ascii=False)
