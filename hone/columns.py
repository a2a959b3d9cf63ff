"""From rows, as training logs them, to columns, as the server takes them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, TypeAlias

from hone.errors import HoneError

MOST_POINTS, MOST_SERIES = 20_000, 1_000  # in one request
LONGEST_NAME = 250


Row: TypeAlias = tuple[int, float, dict[str, float]]  # step, seconds since the epoch, values by metric


def number(name: str, value: Any) -> float:
    """The value as a float, whatever kind of number or tensor of one it is. Raises HoneError naming the metric."""
    if not isinstance(value, str | bytes):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            pass
    raise HoneError(f"The metric {name!r} must be one number, not {type(value).__name__}: {str(value)[:60]}.")


def check_name(name: Any) -> None:
    """Raises HoneError for what can't be the name of a metric."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise HoneError(f"The name of a metric must be text without control characters, not {name!r:.60}.")
    if len(name) > LONGEST_NAME:
        raise HoneError(
            f"The name of a metric has at most {LONGEST_NAME} characters; {name[:40]!r}... has {len(name)}."
        )


def bodies(rows: Iterator[Row]) -> Iterator[tuple[int, str]]:
    """Bodies of POST .../metrics, none too large, each with the number of its points."""
    series: dict[str, dict[str, list[Any]]] = {}
    points = 0
    for step, time, values in rows:
        at = round(time, 6)
        for name, value in values.items():
            columns = series.get(name)
            if columns is None:
                if len(series) == MOST_SERIES:
                    yield points, _body(series)
                    series, points = {}, 0
                columns = series[name] = {"step": [], "value": [], "time": []}
            columns["step"].append(step)
            columns["value"].append(value)
            columns["time"].append(at)
            points += 1
        if points >= MOST_POINTS:
            yield points, _body(series)
            series, points = {}, 0
    if points:
        yield points, _body(series)


def merged(parts: list[bytes]) -> bytes | None:
    """Several bodies as one, in their order; None when one request may not hold them."""
    series: dict[str, dict[str, list[Any]]] = {}
    for part in parts:
        for name, columns in json.loads(part)["series"].items():
            into = series.setdefault(name, {column: [] for column in columns})
            for column, entries in columns.items():
                into[column] += entries
    points = sum(len(columns["step"]) for columns in series.values())
    return _body(series).encode() if len(series) <= MOST_SERIES and points <= MOST_POINTS else None


def _body(series: dict[str, dict[str, list[Any]]]) -> str:
    try:
        return json.dumps({"series": series}, allow_nan=False, separators=(",", ":"))
    except ValueError:
        for columns in series.values():
            columns["value"] = [value if math.isfinite(value) else _spelled(value) for value in columns["value"]]
        return json.dumps({"series": series}, allow_nan=False, separators=(",", ":"))


def _spelled(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
