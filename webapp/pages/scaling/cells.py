"""Tables of fits: cells of text with a second, quieter value beside it, and numbers as these pages write them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from webapp.pages.runs.facts import NOTHING
from webapp.pages.templatetags import hone as text

LARGE, SMALL = 1e4, 1e15  # between these a size reads better as 70.9 B than as 7.09e10


class Cell(NamedTuple):
    text: str
    note: str = ""
    is_number: bool = True
    url: str = ""
    tone: str = ""  # good or bad where it judges, dim


class Column(NamedTuple):
    label: str
    is_number: bool = True
    help: str = ""


class Table(NamedTuple):
    """`about` says in a few words what the rows are."""

    name: str
    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    about: str = ""


def words(said: object) -> Cell:
    return Cell(str(said), is_number=False)


def amount(value: Any) -> str:
    """A size as 70.9 B, any other number with four digits, a dash for none."""
    if not is_number(value):
        return NOTHING
    return text.si(value) if LARGE <= abs(value) < SMALL else text.metric(value)


def power(value: Any) -> str:
    """FLOPs: 5.76e23."""
    if not is_number(value):
        return NOTHING
    return f"{value:.3g}".replace("e+", "e") if abs(value) >= LARGE else text.metric(value)


def span(pair: Any, written: Callable[[float], str] = amount) -> str:
    """An interval [low, high] in words; a dash where there is none."""
    if isinstance(pair, Mapping):
        pair = (pair.get("low"), pair.get("high"))
    if not isinstance(pair, Sequence) or len(pair) != 2 or not all(map(is_number, pair)):
        return NOTHING
    return f"{written(pair[0])} to {written(pair[1])}"


def brief(value: float) -> str:
    """Three digits: 57.3 M, 1.4e18."""
    return text.si(value) if LARGE <= abs(value) < SMALL else text.metric(float(f"{value:.3g}"))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
