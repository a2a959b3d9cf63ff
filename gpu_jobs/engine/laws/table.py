"""The points as columns of numbers: read, computed, filtered, and divided into fitted ones and those held out."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_jobs import formula
from gpu_jobs.context import Context
from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.errors import DataError
from gpu_jobs.law import LawKnobs
from gpu_jobs.points import MOST_POINTS, Columns, Holdout, Points, RunPoints, TablePoints, UploadPoints

Column = Any  # (rows,), of numbers, or of text where a value is no number


@dataclass(frozen=True)
class Table:
    """`rows` are the places in the source. `incomplete` and `outliers` say how many rows were dropped for that."""

    columns: Mapping[str, Column]
    rows: Array
    runs: Sequence[Any] | None
    incomplete: int = 0
    outliers: int = 0

    def take(self, chosen: Array) -> Table:
        """The chosen rows: a mask, or places."""
        places = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        columns = {name: column[places] for name, column in self.columns.items()}
        runs = None if self.runs is None else [self.runs[place] for place in places.tolist()]
        return Table(columns, self.rows[places], runs, self.incomplete, self.outliers)

    def variables(self, knobs: LawKnobs) -> dict[str, Array]:
        return {name: self.columns[name] for name in knobs.variables}


def read(points: Points, context: Context, knobs: LawKnobs, needs: Sequence[str]) -> Table:
    """The complete rows that the filter and the rule for outliers leave. Raises DataError where there is none."""
    raw, runs = _raw(points, context)
    columns = {name: _column(values) for name, values in raw.items()}
    rows = len(next(iter(columns.values()), ()))
    for name, text in points.formulas.items():
        columns[name] = np.broadcast_to(computed(text, columns, f"points.compute.{name}"), rows)
    _derive(columns)
    if points.run_column:
        runs = list(_known(columns, points.run_column, "points.run_column"))
    table = Table(columns, np.arange(rows), runs)
    if points.filter:
        table = table.take(_mask(computed(points.filter, columns, "points.filter"), rows, "points.filter"))
    return _without_outliers(_complete(table, needs), points.drop_highest, knobs.target)


def _raw(points: Points, context: Context) -> tuple[Columns, Sequence[Any] | None]:
    match points:
        case TablePoints():
            return points.columns, None
        case UploadPoints():
            return _csv(context.inputs[f"upload:{points.upload}"]), None
        case RunPoints(columns=None):
            raise DataError(f"points: the query {points.query!r} was not looked up: queue this fit from the site")
        case RunPoints():
            return points.columns or {}, points.runs
    raise DataError(f"points: no way to read {type(points).__name__}")


def _csv(path: Path) -> Columns:
    """Raises DataError at a file that is no table."""
    found = next((each for each in sorted(path.iterdir()) if each.is_file()), path) if path.is_dir() else path
    try:
        with found.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"points: the upload is no CSV file with a header: {error}") from error
    if len(rows) > MOST_POINTS:
        raise DataError(f"points: the upload has {len(rows):,} rows, more than {MOST_POINTS:,}")
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise DataError(f"points: row {number + 2} of the upload has {len(row)} values, the header {len(header)}")
    return {name: [row[index] for row in rows] for index, name in enumerate(header)}


def _column(values: Sequence[float | str | None]) -> Column:
    """Numbers, an empty one as NaN; text where one is neither."""
    try:
        return np.array([math.nan if value is None or value == "" else float(value) for value in values])
    except ValueError:
        return np.array(["" if value is None else str(value) for value in values])


def computed(text: str, columns: Mapping[str, Column], field: str) -> Any:
    """A column's values by its name, else the formula's. Raises DataError, naming the field."""
    if text in columns:
        return columns[text]
    parsed = formula.parse(text, conditions=True)
    for name in parsed.names:
        _known(columns, name, field)
    try:
        with np.errstate(all="ignore"):
            return np.asarray(parsed.value(columns))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise DataError(f"{field}: {text!r} can't be computed: {error}") from error


def _known(columns: Mapping[str, Column], name: str, field: str) -> Column:
    if name not in columns:
        raise DataError(f"{field}: there is no column {name!r}: there are {', '.join(columns)}")
    return columns[name]


def _derive(columns: dict[str, Column]) -> None:
    """C = 6 N D and M = D / N, where they are not given."""
    if all(name in columns and columns[name].dtype.kind == "f" for name in "ND"):
        with np.errstate(all="ignore"):
            columns.setdefault("C", 6 * columns["N"] * columns["D"])
            columns.setdefault("M", columns["D"] / columns["N"])
    if "D" not in columns and all(name in columns and columns[name].dtype.kind == "f" for name in "CN"):
        with np.errstate(all="ignore"):
            columns["D"] = columns["C"] / (6 * columns["N"])


def _mask(values: Any, rows: int, field: str) -> Array:
    if values.dtype != bool:
        raise DataError(f"{field} must compare, like N > 1e8")
    return np.asarray(np.broadcast_to(values, rows))


def _complete(table: Table, needs: Sequence[str]) -> Table:
    """The rows with a finite value in every needed column."""
    good = np.ones(len(table.rows), bool)
    for name in needs:
        column = _known(table.columns, name, "points")
        if column.dtype.kind != "f":
            wrong = next(value for value in column if not _is_number(value))
            raise DataError(f"points: column {name!r} must hold numbers, not {wrong!r}")
        good &= np.isfinite(column)
    if not good.any():
        raise DataError(f"points: no row has a value in all of {', '.join(needs)}")
    kept = table.take(good)
    return Table(kept.columns, kept.rows, kept.runs, incomplete=int((~good).sum()))


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except ValueError:
        return str(value) == ""
    return True


def _without_outliers(table: Table, count: int, target: str) -> Table:
    if not count:
        return table
    values = _known(table.columns, target, "points.drop_highest")
    if count >= len(values):
        raise DataError(f"points.drop_highest must be less than the number of rows: {count} >= {len(values)}")
    good = values < np.sort(values)[-count]
    kept = table.take(good)
    return Table(kept.columns, kept.rows, kept.runs, table.incomplete, int((~good).sum()))


def divided(table: Table, holdout: Holdout | None) -> tuple[Table, Table, str | None]:
    """(fitted, held out, the rule in words)"""
    out = np.zeros(len(table.rows), bool)
    if holdout is None:
        return table, table.take(out), None
    said = []
    if holdout.where is not None:
        where = computed(holdout.where, table.columns, "holdout.where")
        out |= _mask(where, len(out), "holdout.where")
        said.append(f"the rows where {holdout.where}")
    if holdout.largest:
        out |= _largest(table, holdout)
        what = "rows" if table.runs is None else "runs"
        said.append(f"the {holdout.largest} {what} with the largest {holdout.by}")
    if out.all():
        raise DataError("holdout holds out every row: leave some to fit")
    return table.take(~out), table.take(out), " and ".join(said)


def _largest(table: Table, holdout: Holdout) -> Array:
    size = np.broadcast_to(computed(holdout.by, table.columns, "holdout.by"), len(table.rows))
    if size.dtype.kind not in "fib":
        raise DataError(f"holdout.by must hold numbers: {holdout.by!r} does not")
    if table.runs is None:
        found = np.zeros(len(size), bool)
        found[np.argsort(-size, kind="stable")[: holdout.largest]] = True
        return found
    most: dict[Any, float] = {}
    for run, value in zip(table.runs, size, strict=True):
        most[run] = max(most.get(run, -math.inf), float(value))
    chosen = set(sorted(most, key=lambda run: -most[run])[: holdout.largest])
    return np.array([run in chosen for run in table.runs])


def labels(table: Table, unit: str, settings: Sequence[str]) -> list[Any] | None:
    """What a resample draws: None for rows. Raises DataError where rows tell no run."""
    if unit == "row":
        return None
    if unit == "setting":
        return list(zip(*(table.columns[name].tolist() for name in settings), strict=True))
    if table.runs is None:
        raise DataError("bootstrap.unit 'run' needs to know each row's run: set points.run_column")
    return list(table.runs)
