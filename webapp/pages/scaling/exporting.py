"""Fits as files: the lines and dots of a figure, and the points with what the law says to them, as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from webapp import spreadsheet
from webapp.pages.scaling import laws
from webapp.pages.scaling.points import rows_of

AXES = ("x", "y", "z")


def csv_of_figure(figure: Mapping[str, Any]) -> str:
    """A row a point: the trace's name, x and y; z where it has one. What lies on a grid is told cell by cell."""
    return spreadsheet.written([["trace", *AXES], *(row for trace in figure["data"] for row in _rows(trace))])


def _rows(trace: Mapping[str, Any]) -> Iterator[list[Any]]:
    x, y, z = (list(trace.get(axis) or []) for axis in AXES)
    name = _told(trace.get("name") or trace.get("type", ""))
    if z and isinstance(z[0], Sequence) and not isinstance(z[0], str):
        for row, values in enumerate(z):
            yield from ([name, *map(_told, (x[place], y[row], value))] for place, value in enumerate(values))
        return
    for place in range(max(len(x), len(y))):
        yield [name, *(_told(side[place]) if place < len(side) else "" for side in (x, y, z))]


def _told(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float) else str(value)


def csv_of_points(result: Mapping[str, Any]) -> str:
    found = list(rows_of(result))
    names = laws.names(result, (name for row in found for name in row["at"]))
    head = ["row", "run", *names, result["law"]["target"], "predicted", "relative_error", "held_out"]
    rows = (
        [row["row"], row["run"], *(row["at"].get(name) for name in names), row["measured"], row["predicted"],
         row["error"], str(row["is_held_out"]).lower()]
        for row in found
    )  # fmt: skip
    return spreadsheet.written([head, *(map(_told, row) for row in rows)])
