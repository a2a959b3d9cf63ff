"""What packages of charts share whose reader may choose: how their files are found, and how a choice is checked."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from webapp.accounts.errors import FieldError, Invalid
from webapp.charts.sweeps.options import Option
from webapp.charts.theme import Json


class Chart(NamedTuple):
    name: str
    title: str
    question: str
    is_wide: bool
    module: ModuleType


class Open(NamedTuple):
    """What an open option takes beside its choices, in words and as a test."""

    words: str
    takes: Callable[[str], bool]


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


WHOLE = Open("a whole number", str.isdecimal)
POSITIVE = Open("a positive number", _is_positive)


def charts_in(package: str, path: Sequence[str], having: str) -> dict[str, Chart]:
    """The charts of a package whose module has something by that name, in the order of their places."""
    modules = [importlib.import_module(f"{package}.{found.name}") for found in pkgutil.iter_modules(path)]
    found = sorted((module for module in modules if hasattr(module, having)), key=lambda module: module.PLACE)
    return {chart.name: chart for chart in map(_chart, found)}


def drawn(chart: Chart, subject: Any, asked: Mapping[str, str], open_: Open) -> Json:
    """With what was chosen, else the first choices. Raises Invalid for an option or a value that it does not have."""
    offered: list[Option] = chart.module.options(subject)
    if errors := list(_errors(chart.name, offered, asked, open_)):
        raise Invalid(errors)
    chosen = {option.name: asked.get(option.name, option.choices[0].value) for option in offered}
    figure: Json = chart.module.figure(chart.module.data(subject, **chosen))
    return figure


def _chart(module: ModuleType) -> Chart:
    name, is_wide = module.__name__.rpartition(".")[2], getattr(module, "IS_WIDE", False)
    return Chart(name, module.TITLE, module.QUESTION, is_wide, module)


def _errors(name: str, offered: list[Option], asked: Mapping[str, str], open_: Open) -> Iterator[FieldError]:
    known = {option.name: option for option in offered}
    for key, value in asked.items():
        if key not in known:
            words = ", ".join(known) or "none"
            yield {"loc": [key], "msg": f"The chart {name} has no option {key!r}; it has: {words}."}
        elif known[key].is_open and not open_.takes(value):
            yield {"loc": [key], "msg": f"{key} must be {open_.words}, not {value!r}."}
        elif not known[key].is_open and value not in (values := [choice.value for choice in known[key].choices]):
            yield {"loc": [key], "msg": f"{key} must be one of {', '.join(values)}, not {value!r}."}
