"""Figures of scaling fits: one file, one chart; the files are found, and nobody lists them.

The file of a chart of one fit has
    PLACE                   where it stands among the others, lower first
    TITLE, QUESTION         its name, and the question that it answers
    IS_WIDE                 whether it wants the whole width
    applies(reading)        whether a fit of this law has it at all
    options(reading)        what a reader may choose: Option; the first choice is the default, an open one takes any
                            positive number
    data(reading, **asked)  a NamedTuple; `asked` has a value, as text, for each of its options
    figure(data)            a Plotly figure; see webapp/charts

A chart of several fits (compare*) has `compares(readings)` and `data(readings)` in place of applies, options and data;
readings go by their names, in the order in which they are told. `later` takes what was measured since: see there.

What a figure stands on and leaves out is said in `figure["layout"]["meta"]["caption"]`. Points that are runs have the
run's number in `customdata[i][0]` (None for rows of a table), and their trace says `"meta": {"points": "runs"}`. A
chart without anything to show is a figure with a sentence in it.
"""

from __future__ import annotations

import functools
import importlib
import math
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import NamedTuple

from webapp.accounts.errors import FieldError, Invalid
from webapp.charts.sweeps.options import Choice, Option
from webapp.charts.theme import Json
from webapp.scaling.reading import Reading

__all__ = [
    "Chart", "Choice", "Option", "charts", "charts_of", "comparison_of", "comparisons", "figure_of", "options_of",
]  # fmt: skip


class Chart(NamedTuple):
    name: str
    title: str
    question: str
    is_wide: bool
    module: ModuleType


@functools.cache
def charts() -> dict[str, Chart]:
    """Those of one fit, by name, in the order of their places."""
    return _having("applies")


@functools.cache
def comparisons() -> dict[str, Chart]:
    """Those of several fits, by name, in the order of their places."""
    return _having("compares")


def charts_of(reading: Reading) -> list[Chart]:
    """Those that a fit of this law has."""
    return [chart for chart in charts().values() if chart.module.applies(reading)]


def options_of(name: str, reading: Reading) -> list[Option]:
    """Raises KeyError for a chart that does not exist."""
    options: list[Option] = charts()[name].module.options(reading)
    return options


def figure_of(name: str, reading: Reading, **asked: str) -> Json:
    """Raises KeyError for a chart that does not exist, Invalid for an option or a value that it does not have."""
    module, offered = charts()[name].module, options_of(name, reading)
    if errors := list(_errors(name, offered, asked)):
        raise Invalid(errors)
    chosen = {option.name: asked.get(option.name, option.choices[0].value) for option in offered}
    figure: Json = module.figure(module.data(reading, **chosen))
    return figure


def comparison_of(name: str, readings: Mapping[str, Reading]) -> Json:
    """Of fits by their names. Raises KeyError for a chart that does not exist."""
    module = comparisons()[name].module
    figure: Json = module.figure(module.data(readings))
    return figure


def _having(function: str) -> dict[str, Chart]:
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    found = sorted((module for module in modules if hasattr(module, function)), key=lambda module: module.PLACE)
    return {chart.name: chart for chart in map(_chart, found)}


def _chart(module: ModuleType) -> Chart:
    return Chart(module.__name__.rpartition(".")[2], module.TITLE, module.QUESTION, module.IS_WIDE, module)


def _errors(name: str, offered: list[Option], asked: Mapping[str, str]) -> Iterator[FieldError]:
    known = {option.name: option for option in offered}
    for key, value in asked.items():
        if key not in known:
            words = ", ".join(known) or "none"
            yield {"loc": [key], "msg": f"The chart {name} has no option {key!r}; it has: {words}."}
        elif known[key].is_open and not _is_positive(value):
            yield {"loc": [key], "msg": f"{key} must be a positive number, not {value!r}."}
        elif not known[key].is_open and value not in (values := [choice.value for choice in known[key].choices]):
            yield {"loc": [key], "msg": f"{key} must be one of {', '.join(values)}, not {value!r}."}


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False
