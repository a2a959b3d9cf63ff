"""Parts of a fit's spec that are easier typed as lines than as JSON; JSON is read, too.

`columns` and `predict` are CSV with a header, `compute`, `x` and `fixed` lines like `N = ...`, `unknowns` lines like
`A log: 2, 6, 10`. Reading raises ValueError with a sentence that says what the line should be.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from webapp.pages.forms.values import written

Columns = dict[str, list[float | str | None]]
DELIMITERS = "\t;,"


class Form(NamedTuple):
    """How one part is read and written, and what its field says."""

    read: Callable[[str], Any]
    write: Callable[[Any], str]
    help: str
    placeholder: str
    rows: int


def plain(text: str) -> float | str | None:
    """A number where it is one; an empty or infinite one is None."""
    text = text.strip()
    try:
        value = float(text)
    except ValueError:
        return text or None
    return value if math.isfinite(value) else None


def columns_of(text: str) -> Columns:
    header, *rows = _rows(text)
    names = [name.strip() for name in header]
    if len(set(names)) < len(names) or not all(names):
        raise ValueError(f"The first line must name each column once, not {', '.join(names)}.")
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise ValueError(f"Line {number} has {len(row)} values, the header {len(names)}.")
    if not rows:
        raise ValueError("Below the header must be a line for each point.")
    return {name: [plain(row[index]) for row in rows] for index, name in enumerate(names)}


def _rows(text: str) -> list[list[str]]:
    """Tabs, semicolons or commas between values: what stands in the header."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError("Paste a table with a header.")
    delimiter = next((sign for sign in DELIMITERS if sign in lines[0]), ",")
    try:
        return list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ValueError(f"This is no table: {error}.") from None


def table_text(columns: Any) -> str:
    if not _is_table(columns):
        return written(columns)
    told = io.StringIO()
    sheet = csv.writer(told, lineterminator="\n")
    sheet.writerow(columns)
    sheet.writerows([written(cell) for cell in row] for row in zip(*columns.values(), strict=True))
    return told.getvalue()


def _is_table(columns: Any) -> bool:
    if not isinstance(columns, Mapping) or not columns:
        return False
    lists = [values for values in columns.values() if isinstance(values, list)]
    return len(lists) == len(columns) and len({len(values) for values in lists}) == 1


def points_of(text: str) -> list[dict[str, Any]]:
    """Rows of a table as objects."""
    columns = columns_of(text)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def points_text(points: Any) -> str:
    if not isinstance(points, Sequence) or not points or not all(isinstance(point, Mapping) for point in points):
        return "" if points == [] else written(points)
    names = list(dict.fromkeys(name for point in points for name in point))
    return table_text({name: [point.get(name) for point in points] for name in names})


def pairs_of(text: str) -> dict[str, Any]:
    """`name = value`, one a line."""
    found: dict[str, Any] = {}
    for line in filter(str.strip, text.splitlines()):
        name, equals, value = line.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise ValueError(f"Each line is a name, = and what it is, not {line.strip()!r}.")
        found[name.strip().strip("`")] = value.strip()
    return found


def numbers_of(text: str) -> dict[str, Any]:
    return {name: plain(value) for name, value in pairs_of(text).items()}


def pairs_text(pairs: Any) -> str:
    if not isinstance(pairs, Mapping):
        return written(pairs)
    return "\n".join(f"{name} = {written(value)}" for name, value in pairs.items())


def unknowns_of(text: str) -> list[dict[str, Any]]:
    """`A log: 2, 6, 10`: a name, `log` where it is positive, and where it starts."""
    found = []
    for line in filter(str.strip, text.splitlines()):
        head, colon, starts = line.partition(":")
        words = head.split()
        if not colon or not words or words[1:] not in ([], ["log"]):
            raise ValueError(f"Each line is a name, perhaps log, : and the starts, not {line.strip()!r}.")
        values = [plain(start) for start in starts.replace(",", " ").split()]
        found.append({"name": words[0], **({"log": True} if words[1:] else {}), "starts": values})
    return found


def unknowns_text(unknowns: Any) -> str:
    if not isinstance(unknowns, list) or not all(isinstance(each, Mapping) for each in unknowns):
        return written(unknowns)
    lines = (
        f"{each.get('name', '')}{' log' if each.get('log') else ''}: {written(each.get('starts', []))}"
        for each in unknowns
    )
    return "\n".join(lines)


PAIRS = Form(pairs_of, pairs_text, "", "", 2)
FORMS = {
    "columns": Form(
        columns_of, table_text, "Paste a table with a header: commas, semicolons or tabs between values.",
        "N,D,loss\n1e7,2e8,3.91\n2e7,4e8,3.62", 9,
    ),
    "predict": Form(points_of, points_text, "Points to foresee: a header, then a line each.", "N,D\n7e10,1.4e12", 3),
    "compute": PAIRS._replace(
        help="Columns made of others, one a line. A name that is no word stands in backquotes.",
        placeholder="N = `Model Size`\nD = `Training FLOP` / (6 * N)",
    ),
    "x": PAIRS._replace(
        help="Where a column comes from, one a line: a metric (its last value), facts., result. or spec. and a field. "
        "Columns that are not named here have their usual places.",
        placeholder="loss = eval/loss\nN = facts.parameters.total",
    ),
    "fixed": PAIRS._replace(
        read=numbers_of, help="Parameters that are held at a value, one a line.", placeholder="E = 1.69"
    ),
    "unknowns": Form(
        unknowns_of, unknowns_text,
        "The parameters in it, one a line: a name, log where it is positive (its starts are logarithms then), starts.",
        "E log: -1, 0, 1\nA log: 2, 6, 10\nalpha: 0.1, 0.3, 0.6", 4,
    ),
}  # fmt: skip


def read(name: str, text: str) -> Any:
    """Raises ValueError."""
    if text.lstrip()[:1] in "{[":
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueError(f"This is not JSON: {error}.") from None
    return FORMS[name].read(text)
