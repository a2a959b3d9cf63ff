"""The points of a fit with what the law says to each, those that it misses most first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import reverse

from webapp.pages.runs.facts import NOTHING
from webapp.pages.scaling import laws
from webapp.pages.scaling.cells import Cell, Column, Table, amount, is_number, words
from webapp.pages.scaling.tables import signed_percent
from webapp.pages.templatetags import hone as text
from webapp.runs.models import Run

MOST_ROWS = 500
Told = Mapping[str, Any]


def table_of(run: Run) -> Table:
    """Fitted ones and those that were held out. A law that goes through optima has its residuals on these."""
    result: Told = run.result or {}
    found = list(rows_of(result))
    names = laws.names(result, (name for row in found for name in row["at"]))
    target, has_runs = result["law"]["target"], any(row["run"] is not None for row in found)
    columns = [
        *([Column("Run", False)] if has_runs else [Column("Row")]), *map(Column, names), Column(f"{target}, measured"),
        Column("Predicted"), Column("Error"), Column("Held out", False),
    ]  # fmt: skip
    found.sort(key=lambda row: -abs(row["error"]) if is_number(row["error"]) else 0.0)
    shown = [_cells(row, names, run.project.slug if has_runs else None) for row in found[:MOST_ROWS]]
    more = f"the {len(shown):,} of {len(found):,} that it misses most" if len(shown) < len(found) else ""
    return Table("points", "Points", columns, shown, more or "those that the law misses most come first")


def rows_of(result: Told) -> Iterator[dict[str, Any]]:
    """`row` (or None), run, at, measured, predicted, error, is_held_out of each."""
    yield from _fitted(result)
    for each in (result.get("holdout") or {}).get("points", []):
        yield {
            "row": None, "run": each["run"], "at": each["at"], "measured": each["measured"],
            "predicted": each["predicted"], "error": each["relative_error"], "is_held_out": True,
        }  # fmt: skip


def _fitted(result: Told) -> Iterator[dict[str, Any]]:
    """At the measured points; for a law that goes through optima these are the optima."""
    told, reduced, target = result["points"], result.get("reduced"), result["law"]["target"]
    columns = (reduced or told)["columns"]
    names = [name for name in columns if name != target]
    for place, measured in enumerate(columns[target]):
        predicted = result["residuals"]["predicted"][place]
        can_tell = is_number(predicted) and is_number(measured) and measured
        yield {
            "row": None if reduced else told["rows"][place],
            "run": None if reduced or told["runs"] is None else told["runs"][place],
            "at": {name: columns[name][place] for name in names},
            "measured": measured,
            "predicted": predicted,
            "error": predicted / measured - 1 if can_tell else None,
            "is_held_out": False,
        }


def _cells(row: Mapping[str, Any], names: list[str], slug: str | None) -> list[Cell]:
    run = row["run"]
    if slug is None:
        first = Cell(NOTHING if row["row"] is None else f"{row['row'] + 1:,}")
    else:
        is_run = isinstance(run, int) and not isinstance(run, bool)
        url = reverse("run", args=[slug, run]) if is_run else ""
        first = Cell(NOTHING if run is None else str(run), is_number=False, url=url)
    return [
        first, *(Cell(amount(row["at"].get(name))) for name in names), Cell(text.metric(row["measured"])),
        Cell(text.metric(row["predicted"]) or NOTHING), Cell(signed_percent(row["error"])),
        words("yes" if row["is_held_out"] else ""),
    ]  # fmt: skip
