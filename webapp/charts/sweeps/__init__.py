"""Figures of a sweep: one file, one chart; the files are found, and nobody lists them.

The file of a chart has
    PLACE                  where it stands among the others, lower first
    TITLE, QUESTION        its name, and the question that it answers, one short sentence each
    IS_WIDE                (where it is True) whether it wants the whole width
    applies(definition)    whether a sweep with this definition has it at all
    options(sweep)         what a reader may choose: options.Option, whose first choice is the default
    data(sweep, **chosen)  a NamedTuple; `chosen` has a value for each of its options
    figure(data)           a Plotly figure; see webapp/charts

A page needs only `charts_of`, `options_of` and `figure_of`. What a figure leaves out or stands on is said in
`figure["layout"]["meta"]["caption"]`, which static/js/charts.js puts into the panel's [data-caption]. Points that are
trials have the trial's number in `customdata[i][0]`, and their trace says `"meta": {"points": "trials"}`. A chart
without anything to show is a figure with a sentence in it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import NamedTuple

from webapp.accounts.errors import FieldError, Invalid
from webapp.charts.sweeps.options import Choice, Option
from webapp.charts.theme import Json
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep

__all__ = ["Chart", "Choice", "Option", "charts", "charts_of", "figure_of", "options_of"]


class Chart(NamedTuple):
    name: str
    title: str
    question: str
    is_wide: bool
    module: ModuleType


@functools.cache
def charts() -> dict[str, Chart]:
    """Every chart by its name, in the order of their places."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    found = sorted((module for module in modules if hasattr(module, "QUESTION")), key=lambda module: module.PLACE)
    return {chart.name: chart for chart in map(_chart, found)}


def charts_of(definition: Definition) -> list[Chart]:
    """Those that a sweep with this definition has."""
    return [chart for chart in charts().values() if chart.module.applies(definition)]


def options_of(name: str, sweep: Sweep) -> list[Option]:
    """Raises KeyError for a chart that does not exist."""
    options: list[Option] = charts()[name].module.options(sweep)
    return options


def figure_of(name: str, sweep: Sweep, options: Mapping[str, str]) -> Json:
    """Raises KeyError for a chart that does not exist, Invalid for an option or a value that it does not have."""
    module, offered = charts()[name].module, options_of(name, sweep)
    if errors := list(_errors(name, offered, options)):
        raise Invalid(errors)
    chosen = {option.name: options.get(option.name, option.choices[0].value) for option in offered}
    figure: Json = module.figure(module.data(sweep, **chosen))
    return figure


def _chart(module: ModuleType) -> Chart:
    return Chart(
        module.__name__.rpartition(".")[2], module.TITLE, module.QUESTION, getattr(module, "IS_WIDE", False), module
    )


def _errors(name: str, offered: list[Option], options: Mapping[str, str]) -> Iterator[FieldError]:
    known = {option.name: option for option in offered}
    for key, value in options.items():
        if key not in known:
            words = ", ".join(known) or "none"
            yield {"loc": [key], "msg": f"The chart {name} has no option {key!r}; it has: {words}."}
        elif known[key].is_open and not value.isdecimal():
            yield {"loc": [key], "msg": f"{key} must be a whole number, not {value!r}."}
        elif not known[key].is_open and value not in (values := [choice.value for choice in known[key].choices]):
            yield {"loc": [key], "msg": f"{key} must be one of {', '.join(values)}, not {value!r}."}
