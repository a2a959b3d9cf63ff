"""Files and cells as people write them: what separates columns, what is missing, and what is a number.

A number may have a point or, where no comma separates columns, a comma; groups of three digits may be apart by commas,
points, spaces or apostrophes; K, M, B (or G) and T behind it stand for 1e3, 1e6, 1e9 and 1e12. What can be read in two
ways is refused.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpu_jobs.errors import DataError
from gpu_jobs.points import MOST_POINTS, Columns

SEPARATORS = (",", ";", "\t", "|")
MISSING = {"", "na", "n/a", "nan", "null", "none", "-", "?"}
SIZES = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_CELL = re.compile(r"([+-]?)([0-9][0-9.,' \u00a0\u202f_]*|[.,][0-9]+)((?:e[+-]?[0-9]+)?) ?([kmbgt]?)", re.IGNORECASE)
_APART = re.compile(r"[0-9]{1,3}([.,' \u00a0\u202f_])[0-9]{3}(?:\1[0-9]{3})*(?:[.,][0-9]+)?")
_GROUP = re.compile(r"[1-9][0-9]{0,2},[0-9]{3}")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_WIDE = 20  # rows by which the separator is told


def read(path: Path) -> Columns:
    """The columns of a table as text. Raises DataError at a file that is no table."""
    found = next((each for each in sorted(path.iterdir()) if each.is_file()), path) if path.is_dir() else path
    rows = list(_rows(found))
    if not rows:
        raise DataError("points: the upload is empty: it needs a header and rows")
    header = [name.strip() for _, row in rows[:1] for name in row]
    while header and not header[-1]:
        header.pop()
    _check_header(header)
    if len(rows) - 1 > MOST_POINTS:
        raise DataError(f"points: the upload has {len(rows) - 1:,} rows, more than {MOST_POINTS:,}")
    body = [_fitting(row, len(header), number) for number, row in rows[1:]]
    return {name: [row[index] for row in body] for index, name in enumerate(header)}


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(number of the line, its cells), without empty lines."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        lines = text.splitlines(keepends=True)
        between = separator(lines)
        reader = csv.reader(lines, delimiter=between)
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, [_ungrouped(cell) for cell in row] if between == "," else row
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"points: the upload is no CSV file with a header: {error}") from error


def _ungrouped(cell: str) -> str:
    """Where commas divide columns, those within a number divide thousands."""
    return cell.replace(",", "") if _THOUSANDS.fullmatch(cell.strip()) else cell


def separator(lines: Sequence[str]) -> str:
    """The one that divides the header and the first rows into the same number of cells, more than one; else a comma."""
    best, most = ",", 1
    for each in SEPARATORS:
        rows = [row for row in csv.reader(lines[:_WIDE], delimiter=each) if any(cell.strip() for cell in row)]
        width = len(rows[0]) if rows else 0
        if width > most and all(len(row) >= width for row in rows):
            best, most = each, width
    return best


def _check_header(header: Sequence[str]) -> None:
    if not any(header):
        raise DataError("points: the upload has no header: its first line must name the columns")
    for name in header:
        if name and header.count(name) > 1:
            raise DataError(f"points: column {name!r} stands {header.count(name)} times in the header: rename one")


def _fitting(row: list[str], width: int, number: int) -> list[str]:
    """The row, without empty cells behind the last column."""
    while len(row) > width and not row[-1].strip():
        row.pop()
    if len(row) != width:
        raise DataError(f"points: row {number} of the upload has {len(row)} values, the header {width}")
    return row


def is_missing(value: float | str | None) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in MISSING)


def numbers(values: Sequence[float | str | None], name: str) -> list[float]:
    """A column of text as numbers, NaN where a cell is empty. Raises DataError at a cell that is none."""
    decimal = _decimal([value for value in values if isinstance(value, str)], name)
    return [_number(value, decimal, name) for value in values]


def _number(value: float | str | None, decimal: str, name: str) -> float:
    if is_missing(value):
        return math.nan
    if not isinstance(value, str):
        return float(value or 0)
    try:
        return float(value)
    except ValueError:
        found = _CELL.fullmatch(value.strip())
    if not found:
        raise DataError(f"points: column {name!r} must hold numbers, not {value!r}")
    sign, digits, exponent, size = found.groups()
    other = "," if decimal == "." else "."
    kept = re.sub(rf"[{other}' \u00a0\u202f_]", "", digits) if _APART.fullmatch(digits) else digits.strip()
    try:
        return float(f"{sign}{kept.replace(decimal, '.')}{exponent}") * SIZES.get(size.lower(), 1.0)
    except ValueError:
        raise DataError(f"points: column {name!r} must hold numbers, not {value!r}") from None


def _decimal(cells: Sequence[str], name: str) -> str:
    """The sign before a column's fractions. Raises DataError where commas may be either."""
    bare = [found[2].strip() for cell in cells if (found := _CELL.fullmatch(cell.strip()))]
    unclear = ""
    for digits in bare:
        signs = [sign for sign in digits if sign in ".,"]
        if len(set(signs)) == 2:
            return signs[-1]
        if len(signs) > 1:
            return "." if signs[0] == "," else ","
        if signs == [","]:
            if not _GROUP.fullmatch(digits):
                return ","
            unclear = unclear or digits
    if unclear and not any("." in digits for digits in bare):
        raise DataError(f"points: column {name!r} has {unclear!r}, a fraction or thousands: write it without a comma")
    return "."
