"""The rows of a search space in a form: one dimension each, as it was typed, with what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from django.http import QueryDict

from webapp.accounts.errors import FieldError
from webapp.pages.forms.plain import plains_of, texts_of
from webapp.pages.forms.values import written

PREFIX = "space"
MOST = 100
SHAPES = {"range": "range", "log": "log range", "choices": "choices"}
SENTENCES = {
    "path": "A path of the spec is missing, like optimizer.lr.",
    "twice": "{path} stands in the space twice: remove one of them.",
    "when": "A condition reads: method.name = lora, dora; several of them stand between semicolons.",
}


@dataclass
class Row:
    """One dimension. `shape` is one of SHAPES; everything else is text. `origin` is its path in what was imported."""

    path: str = ""
    shape: str = "range"
    low: str = ""
    high: str = ""
    step: str = ""
    choices: str = ""
    when: str = ""
    origin: str = ""
    errors: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_blank(self) -> bool:
        return not any((self.low, self.high, self.step, self.choices, self.when))

    @property
    def all_errors(self) -> list[str]:
        return [sentence for some in self.errors.values() for sentence in some]


TEXTS = [item.name for item in fields(Row) if item.name != "errors"]


def submitted(data: QueryDict) -> list[Row]:
    """The rows that a browser sent, in order. Their numbers may have gaps: rows are removed."""
    names = {name.split("-")[1] for name in data if name.startswith(f"{PREFIX}-") and name.endswith("-path")}
    numbers = sorted(int(name) for name in names if name.isdecimal() and len(name) < 6)
    return [_row(data, number) for number in numbers[:MOST]]


def rows_of(space: Mapping[str, Any]) -> list[Row]:
    """The rows that say a space: {path: dimension as JSON}."""
    return [row_of(path, dimension) for path, dimension in space.items()]


def row_of(path: str, dimension: Any) -> Row:
    """One row; what is not in a dimension's shape stays empty."""
    given = dimension if isinstance(dimension, Mapping) else {}
    shape = "choices" if "choices" in given else "log" if given.get("log") else "range"
    low, high, step = (written(given.get(name)) for name in ("low", "high", "step"))
    choices = given.get("choices")
    return Row(
        path=path,
        shape=shape,
        low=low,
        high=high,
        step=step,
        choices=texts_of(choices) if isinstance(choices, list) else "",
        when=_when_text(given.get("when")),
    )


def space_of(rows: Iterable[Row]) -> dict[str, Any]:
    """{path: dimension as JSON} of the rows that have a path. Text that is no number stays
    text, for the check to name."""
    return {row.path: dimension_of(row) for row in rows if row.path}


def dimension_of(row: Row) -> dict[str, Any]:
    """What a row says; an empty field is left out."""
    if row.shape == "choices":
        found: dict[str, Any] = {"choices": plains_of(row.choices)}
    else:
        found = {name: _number(getattr(row, name)) for name in ("low", "high", "step") if getattr(row, name)}
        found |= {"log": True} if row.shape == "log" else {}
    return found | ({"when": _when(row.when)} if row.when else {})


def check(rows: Iterable[Row]) -> bool:
    """Puts what rows alone can tell at their fields: no path, the same path twice, a condition that can't be read."""
    seen: set[str] = set()
    is_right = True
    for row in rows:
        found = {"path": _path_error(row, seen), "when": SENTENCES["when"] if row.when and not _when(row.when) else ""}
        for name, sentence in found.items():
            if sentence:
                row.errors.setdefault(name, []).append(sentence)
                is_right = False
        seen.add(row.path)
    return is_right


def place(rows: Iterable[Row], error: FieldError) -> bool:
    """Puts an error with `loc` (search, space, path, ...) at the field of its row; False when it has none."""
    steps = [str(step) for step in error["loc"]]
    row = next((row for row in rows if len(steps) > 2 and row.path == steps[2]), None)
    if row is None or steps[:2] != ["search", "space"]:
        return False
    if not _is_of_other_shape(row, steps[3:]):
        name = next((step for step in steps[3:] if step in TEXTS), "path")
        sentences = row.errors.setdefault(name, [])
        if error["msg"] not in sentences:
            sentences.append(error["msg"])
    return True


def _is_of_other_shape(row: Row, steps: list[str]) -> bool:
    """pydantic tells what is wrong for either shape; only that of the row's own is meant."""
    return bool(steps) and steps[0] == ("Range" if row.shape == "choices" else "Choices")


def _path_error(row: Row, seen: set[str]) -> str:
    if not row.path:
        return SENTENCES["path"]
    return SENTENCES["twice"].format(path=row.path) if row.path in seen else ""


def _row(data: QueryDict, number: int) -> Row:
    row = Row()
    for name in TEXTS:
        setattr(row, name, data.get(f"{PREFIX}-{number}-{name}", "").strip())
    row.shape = row.shape if row.shape in SHAPES else "range"
    return row


def _number(text: str) -> float | int | str:
    try:
        number = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and "e" not in text.lower() and "." not in text else number


def _when(text: str) -> dict[str, Any] | None:
    """ "method.name = lora, dora; x = 1" -> {"method.name": ["lora", "dora"], "x": [1]}; None when it can't be read."""
    found: dict[str, Any] = {}
    for part in _parts(text):
        path, equals, values = part.partition("=")
        found[path.strip()] = plains_of(values)
        if not (path.strip() and equals and found[path.strip()]):
            return None
    return found or None


def _parts(text: str) -> Iterator[str]:
    return (part for part in text.split(";") if part.strip())


def _when_text(when: Any) -> str:
    if not isinstance(when, Mapping):
        return ""
    return "; ".join(
        f"{path} = {texts_of(values if isinstance(values, list) else [values])}" for path, values in when.items()
    )
