"""Points from outside, column by column: what is accepted, and the sentence for everything that is not.

A column that is right is read at numpy's speed; one that is not is walked entry by entry, to name the first wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from webapp.metrics.errors import FieldError, Invalid
from webapp.metrics.models import NAME_LENGTH
from webapp.metrics.points import Float64, Int64, Points

MOST_SERIES = 1000
MOST_POINTS = 100_000  # in one request
MOST_ERRORS = 20
LATEST_TIME = 1e11  # seconds: the year 5138. Milliseconds since the epoch are beyond it.
COLUMNS = ("step", "value", "time")
STEP_RULE = "A step must be a whole number from 0 to 2^63 - 1"
TIME_RULE = "A time must be in seconds since the epoch, from 0 to 1e11"
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Columns(NamedTuple):
    """`steps` None: they go on from the series' last; `times` None: now."""

    steps: Int64 | None
    values: Float64
    times: Float64 | None

    def points(self, next_step: int, now: float) -> Points:
        """Raises OverflowError when the steps would pass int64's end."""
        n = len(self.values)
        steps = np.arange(next_step, next_step + n, dtype=np.int64) if self.steps is None else self.steps
        return Points(steps, self.values, np.full(n, now) if self.times is None else self.times)


def parse(series: Any) -> dict[str, Columns]:
    """`{name: {"value": [...], "step": [...]?, "time": [...]?}}`, checked.

    Raises Invalid with the first fault of each series, twenty at most, each naming its series.
    """
    if not isinstance(series, Mapping) or not series:
        raise _invalid([], 'Must be an object of one or more metrics, such as {"loss": {"step": [1], "value": [4.2]}}.')
    if len(series) > MOST_SERIES:
        raise _invalid([], f"At most {MOST_SERIES:,} metrics in one request, not {len(series):,}.")
    _refuse_too_many_points(series)
    errors: list[FieldError] = []
    parsed: dict[str, Columns] = {}
    for name, columns in series.items():
        try:
            parsed[name] = _parse_one(name, columns)
        except Invalid as error:
            errors += error.errors
            if len(errors) >= MOST_ERRORS:
                break
    if errors:
        raise Invalid(errors[:MOST_ERRORS])
    return parsed


def _parse_one(name: Any, columns: Any) -> Columns:
    check_name(name)
    if not isinstance(columns, Mapping):
        raise _invalid([name], f"Must be an object with {_listed(COLUMNS)}, not {shown(columns)}.")
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown:
        raise _invalid([name, unknown[0]], f"{shown(unknown[0])} is no column; there are {_listed(COLUMNS)}.")
    values = _column(name, columns, "value", _VALUES)
    if values is None:
        raise _invalid([name, "value"], "Required: a list of numbers.")
    steps, times = _column(name, columns, "step", _STEPS), _column(name, columns, "time", _TIMES)
    _check_lengths(name, values, steps=steps, times=times)
    return Columns(steps, values, times)


def check_name(name: Any) -> None:
    """Raises Invalid for what can't be the name of a metric."""
    if not isinstance(name, str) or not name.strip():
        raise _invalid([str(name)], "The name of a metric must not be empty.")
    if len(name) > NAME_LENGTH:
        message = f"The name of a metric has at most {NAME_LENGTH} characters; {name[:40]!r}... has {len(name)}."
        raise _invalid([name[:NAME_LENGTH]], message)
    if not name.isprintable():
        raise _invalid([ascii(name)[1:-1]], "The name of a metric must not contain control characters.")


def _check_lengths(name: str, values: Float64, **others: Int64 | Float64 | None) -> None:
    for column, entries in others.items():
        if entries is not None and len(entries) != len(values):
            column = column.removesuffix("s")
            message = f"{column} and value must be equally long, not {len(entries)} and {len(values)} entries."
            raise _invalid([name, column], message)


def _refuse_too_many_points(series: Mapping[Any, Any]) -> None:
    total = 0
    for name, columns in series.items():
        value = columns.get("value") if isinstance(columns, Mapping) else None
        total += len(value) if isinstance(value, list | tuple) else 0
        if total > MOST_POINTS:
            message = f"At most {MOST_POINTS:,} points in one request, and here there are more: send several requests."
            raise _invalid([str(name)[:NAME_LENGTH], "value"], message)


class _Kind(NamedTuple):
    """How entries are read: at once as `dtype` where all are of `types` and the array `holds`, else one by one."""

    dtype: type[np.int64] | type[np.float64]
    types: frozenset[type]
    holds: Callable[[Any], bool]
    read: Callable[[Any], int | float]


def _column(name: str, columns: Mapping[str, Any], column: str, kind: _Kind) -> Any:
    """The entries of a column as an array, or None when it is left out. Names the first entry that is wrong."""
    entries = columns.get(column)
    if entries is None:
        return None
    if not isinstance(entries, list | tuple):
        raise _invalid([name, column], f"Must be a list, not {shown(entries)}.")
    found = _at_once(entries, kind)
    return np.array(_one_by_one(name, column, entries, kind), kind.dtype) if found is None else found


def _at_once(entries: list[Any] | tuple[Any, ...], kind: _Kind) -> Int64 | Float64 | None:
    if not kind.types.issuperset(map(type, entries)):
        return None
    try:
        found: Any = np.array(entries, kind.dtype)
    except OverflowError:
        return None
    return found if kind.holds(found) else None


def _one_by_one(name: str, column: str, entries: list[Any] | tuple[Any, ...], kind: _Kind) -> list[int | float]:
    found = []
    for index, entry in enumerate(entries):
        try:
            found.append(kind.read(entry))
        except ValueError as error:
            raise _invalid([name, column, index], f"{error}, not {shown(entry)}.") from None
    return found


def _value(entry: Any) -> float:
    if isinstance(entry, str) and entry in NON_FINITE:
        return NON_FINITE[entry]
    return _float(entry, 'A value must be a number, "NaN", "Infinity" or "-Infinity"')


def _step(entry: Any) -> int:
    if isinstance(entry, bool) or not isinstance(entry, int) or not 0 <= entry < 2**63:
        raise ValueError(STEP_RULE)
    return entry


def _time(entry: Any) -> float:
    seconds = _float(entry, TIME_RULE)
    if not 0 <= seconds <= LATEST_TIME:
        raise ValueError(TIME_RULE)
    return seconds


def _float(entry: Any, rule: str) -> float:
    if isinstance(entry, bool) or not isinstance(entry, int | float):
        raise ValueError(rule)
    try:
        return float(entry)
    except OverflowError:
        raise ValueError(f"{rule} that a double can hold") from None


def _are_steps(steps: Int64) -> bool:
    return not len(steps) or bool(steps.min() >= 0)


def _are_times(times: Float64) -> bool:
    return bool(((times >= 0) & (times <= LATEST_TIME)).all())


_VALUES = _Kind(np.float64, frozenset({int, float}), lambda values: True, _value)
_STEPS = _Kind(np.int64, frozenset({int}), _are_steps, _step)
_TIMES = _Kind(np.float64, frozenset({int, float}), _are_times, _time)


def shown(entry: Any) -> str:
    text = repr(entry) if isinstance(entry, str | int | float | bool | None) else f"a {type(entry).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _listed(columns: tuple[str, ...]) -> str:
    return f"{', '.join(columns[:-1])} and {columns[-1]}"


def _invalid(loc: list[str | int], message: str) -> Invalid:
    return Invalid([{"loc": ["series", *loc], "msg": message}])
