"""The points as columns of numbers: read, computed, filtered, and divided into fitted ones and those held out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_jobs import formula, registry
from gpu_jobs.context import Context
from gpu_jobs.engine.laws import cells
from gpu_jobs.engine.laws.objectives import Array
from gpu_jobs.errors import DataError
from gpu_jobs.law import LawKnobs
from gpu_jobs.points import Columns, Holdout, Points, RunPoints, TablePoints, UploadPoints

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
    columns |= {name: _numeric(columns[name], name) for name in needs if name in columns}
    _derive(columns)
    if points.run_column:
        runs = list(_known(columns, points.run_column, "points.run_column"))
    table = Table(columns, np.arange(rows), runs)
    if points.filter:
        table = table.take(_mask(computed(points.filter, columns, "points.filter"), rows, "points.filter"))
    return _without_outliers(_complete(table, needs, infinite(knobs)), points.drop_highest, knobs.target)


def _raw(points: Points, context: Context) -> tuple[Columns, Sequence[Any] | None]:
    match points:
        case TablePoints():
            return points.columns, None
        case UploadPoints():
            return cells.read(context.inputs[f"upload:{points.upload}"]), None
        case RunPoints(columns=None):
            raise DataError(f"points: the query {points.query!r} was not looked up: queue this fit from the site")
        case RunPoints():
            return points.columns or {}, points.runs
    raise DataError(f"points: no way to read {type(points).__name__}")


def _column(values: Sequence[float | str | None]) -> Column:
    """Numbers, an empty one as NaN; text where one is neither, though it may be a number that is written otherwise."""
    try:
        return np.array([math.nan if cells.is_missing(value) else float(value or 0) for value in values])
    except ValueError:
        return np.array(["" if value is None else str(value) for value in values])


def _numeric(column: Column, name: str) -> Column:
    """Text like 1,234,567 or 70M as numbers. Raises DataError, naming the column, where it is none."""
    return column if column.dtype.kind in "fib" else np.array(cells.numbers(column.tolist(), name))


def computed(text: str, columns: Mapping[str, Column], field: str) -> Any:
    """A column's values by its name, else the formula's. Raises DataError, naming the field."""
    if text in columns:
        return columns[text]
    parsed = formula.parse(text, conditions=True)
    given = {name: _known(columns, name, field) for name in parsed.names}
    try:
        with np.errstate(all="ignore"):
            try:
                return np.asarray(parsed.value(given))
            except TypeError:  # text where a number is asked
                return np.asarray(parsed.value({name: _numeric(each, name) for name, each in given.items()}))
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


def infinite(knobs: LawKnobs) -> Sequence[str]:
    """The columns in which an infinite value counts: a run that diverged."""
    return tuple(getattr(registry.method_of(knobs).module, "INFINITE", ()))


def _complete(table: Table, needs: Sequence[str], infinite: Sequence[str]) -> Table:
    """The rows with a finite value in every needed column."""
    good = np.ones(len(table.rows), bool)
    for name in needs:
        column = _known(table.columns, name, "points")
        good &= ~np.isnan(column) if name in infinite else np.isfinite(column)
    if not good.any():
        raise DataError(f"points: no row has a value in all of {', '.join(needs)}")
    kept = table.take(good)
    return Table(kept.columns, kept.rows, kept.runs, incomplete=int((~good).sum()))


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
