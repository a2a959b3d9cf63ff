"""Fits side by side: parameters with their intervals, how well each goes through its points, and what each foresees."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from webapp.pages.runs.facts import NOTHING
from webapp.pages.scaling import laws
from webapp.pages.scaling.asked import Field, number_of, short
from webapp.pages.scaling.cells import Cell, Column, Table, amount, is_number, span, words
from webapp.pages.scaling.result import OBJECTIVES, size_of
from webapp.pages.scaling.tables import signed_percent
from webapp.pages.templatetags import hone as text
from webapp.scaling.models import Fit
from webapp.scaling.reading import Reading

MOST = 6
Told = Mapping[str, Any]


class Compared(NamedTuple):
    fit: Fit
    reading: Reading

    @property
    def result(self) -> Told:
        return self.reading.result


class Cautions(NamedTuple):
    """What must be known before one is held against the other."""

    sentences: list[str]
    same_points: bool


def cautions_of(found: Sequence[Compared]) -> Cautions:
    said: list[str] = []
    same = len({_points_of(one) for one in found}) <= 1
    if not same:
        said.append(
            "They were fitted to different points, so objectives and R² can't be held against each other; "
            "parameters and predictions can."
        )
    if len({_objective(one) for one in found}) > 1:
        said.append("They minimise different objectives: their values are on different scales.")
    if len({one.result["law"]["name"] for one in found}) > 1:
        said.append("The laws are different: a parameter of the same name may mean another thing.")
    if len({one.result["law"]["target"] for one in found}) > 1:
        said.append("They explain different columns: their predictions are of different things.")
    return Cautions(said, same)


def _points_of(one: Compared) -> tuple[Any, ...]:
    """What tells that two fits went through the same points: the fitted targets, in order of size, and how many."""
    columns, target = one.result["points"]["columns"], one.result["law"]["target"]
    values = columns.get(target, [])
    return (target, len(values), tuple(sorted(value for value in values if is_number(value))))


def _objective(one: Compared) -> tuple[Any, Any]:
    return one.result["objective"]["name"], one.result["objective"]["delta"]


def measures(found: Sequence[Compared], cautions: Cautions) -> Table:
    """How each goes through its points: a row a measure, a column a fit."""
    rows = [
        ("Law", [one.result["law"]["title"] for one in found]),
        ("Points", [size_of(one.result) for one in found]),
        ("Free parameters", [str(len(one.result["law"]["free"])) for one in found]),
        ("Objective", [_said_objective(one.result["objective"]) for one in found]),
        ("Its value", [text.metric(one.result["objective"]["value"]) for one in found]),
        ("R²", [amount(one.result["statistics"].get("r2")) for one in found]),
        ("RMSE of ln", [amount(one.result["statistics"].get("rmse_log")) for one in found]),
        ("Held-out error", [_error(one.result) for one in found]),
    ]
    cells = [[words(name), *(Cell(value) for value in values)] for name, values in rows]
    if cautions.same_points and (row := _criterion(found)):
        cells.append(row)
    return Table("measures", "Fits", [Column("", False), *(Column(one.fit.name) for one in found)], cells)


def _said_objective(told: Told) -> str:
    delta = f", delta {amount(told['delta'])}" if is_number(told.get("delta")) else ""
    return f"{text.words(told['name']) if told['name'] in OBJECTIVES else told['name']}{delta}"


def _error(result: Told) -> str:
    told = result.get("holdout")
    if not told:
        return NOTHING
    inside = {True: "inside", False: "outside", None: "no interval"}[told["inside"]]
    return f"{text.percent(told['mean_relative_error'])}, {inside}"


def _criterion(found: Sequence[Compared]) -> list[Cell] | None:
    """Akaike's, of normal residuals of ln: n ln(mean square) + 2 k, above the least. Only on the same points."""
    values = []
    for one in found:
        rmse, points = one.result["statistics"].get("rmse_log"), one.result["objective"]["points"]
        if not is_number(rmse) or not rmse > 0:
            return None
        values.append(points * math.log(rmse**2) + 2 * (len(one.result["law"]["free"]) + 1))
    least = min(values)
    return [words("ΔAIC, residuals of ln"), *(Cell(f"{value - least:.1f}") for value in values)]


def parameters(found: Sequence[Compared]) -> Table:
    """Every parameter and derived number that at least one has, and whether intervals overlap where several have it."""
    fullest = sorted(found, key=lambda one: -len(_values(one)))
    names = list(dict.fromkeys(name for one in fullest for name in _values(one)))
    columns = [Column("Name", False), *(Column(one.fit.name) for one in found), Column("Intervals", False)]
    rows = [[words(name), *(_value(one, name) for one in found), _overlap(found, name)] for name in names]
    return Table("parameters", "Parameters", columns, rows, "intervals beside the values")


def _values(one: Compared) -> dict[str, float]:
    return {**laws.parameters(one.result), **laws.derived(one.result)}


def _value(one: Compared, name: str) -> Cell:
    value = _values(one).get(name)
    if value is None:
        return Cell(NOTHING)
    pair = span(_interval(one, name), text.metric)
    return Cell(text.metric(value), "" if pair == NOTHING else pair)


def _interval(one: Compared, name: str) -> list[float] | None:
    told = (one.result.get("intervals") or {}).get(name) or {}
    pair = [told.get("low"), told.get("high")]
    return pair if all(map(is_number, pair)) else None  # type: ignore[return-value]


def _overlap(found: Sequence[Compared], name: str) -> Cell:
    told = [(one.result.get("intervals") or {}).get(name) or {} for one in found]
    if any(each.get("identified") is False for each in told):
        return words("not identified")
    return judged([pair for one in found if (pair := _interval(one, name))])


def judged(pairs: Sequence[Sequence[float]]) -> Cell:
    """In words, whether every two of these intervals overlap."""
    if len(pairs) < 2:
        return words(NOTHING)
    apart = [pair for pair in combinations(pairs, 2) if max(pair[0][0], pair[1][0]) > min(pair[0][1], pair[1][1])]
    if not apart:
        return Cell("overlap", is_number=False)
    said = "apart" if len(pairs) == 2 else f"{len(apart)} of {len(list(combinations(pairs, 2)))} pairs apart"
    return Cell(said, is_number=False, tone="bad")


def fields_of(found: Sequence[Compared], data: Mapping[str, str]) -> tuple[list[Field], dict[str, float]]:
    """A field for each variable that any of the laws reads, and the numbers in those that hold one."""
    units = {name: unit for one in found for name, unit in one.reading.law.variables.items()}
    fields, known = [], {}
    for name, unit in units.items():
        typed = str(data.get(name, "") or _largest(found, name))[:40]
        try:
            known[name], said = number_of(typed), ""
        except ValueError as error:
            said = str(error)
        fields.append(Field(name, unit, typed, said))
    return fields, known


def _largest(found: Sequence[Compared], name: str) -> str:
    """Ten times beyond the points of all: where laws that agree on their points part."""
    values = [float(value) for one in found for value in one.reading.points.get(name, ()) if math.isfinite(value)]
    return short(10 * max(values, default=1.0))


def predictions(found: Sequence[Compared], known: Mapping[str, float]) -> Table:
    """What each foresees at the asked point, and by how much it differs from the first."""
    columns = [Column("Fit", False), Column("Predicted"), Column("Band of the curve"), Column("To the first"),
               Column("Bands", False)]  # fmt: skip
    return Table("predictions", "Predictions", columns, list(_predictions(found, known)))


def _predictions(found: Sequence[Compared], known: Mapping[str, float]) -> Iterator[list[Cell]]:
    first: tuple[float, list[float]] | None = None
    for one in found:
        at = {name: known[name] for name in one.reading.law.variables if name in known}
        if len(at) < len(one.reading.law.variables):
            continue
        value, low, high = (float(side[0]) for side in one.reading.band({name: [v] for name, v in at.items()}))
        pair = [low, high] if is_number(low) and is_number(high) else []
        if first is None:
            first, difference, bands = (value, pair), NOTHING, words("")
        else:
            difference = signed_percent(value / first[0] - 1) if first[0] else NOTHING
            bands = judged([each for each in (first[1], pair) if each])
        name = Cell(one.fit.name, is_number=False)
        yield [name, Cell(text.metric(value)), Cell(span(pair or None)), Cell(difference), bands]
