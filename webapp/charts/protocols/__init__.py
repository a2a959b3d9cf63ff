"""Figures of studies: one file, one chart; the files are found, and nobody lists them.

The file of a chart has
    TITLE, QUESTION        its name, and the question that it answers
    PROTOCOLS              the protocols whose results it draws
    PLACE                  (where there are several for one protocol) where it stands among these, lower first
    IS_WIDE                (optional) True: it takes the whole width of the page
    data(result, knobs)    a NamedTuple
    figure(data)           a Plotly figure; see webapp/charts
A chart without anything to show is a figure with a sentence in it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import NamedTuple

from webapp.charts.theme import Json
from webapp.sweeps.measures.outcomes import Result
from webapp.sweeps.registry import Knobs


class Chart(NamedTuple):
    name: str
    title: str
    question: str
    protocols: tuple[str, ...]
    module: ModuleType


@functools.cache
def charts() -> dict[str, Chart]:
    """Every chart by its name."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    names = {module.__name__.rpartition(".")[2]: module for module in modules}
    return {name: Chart(name, m.TITLE, m.QUESTION, tuple(m.PROTOCOLS), m) for name, m in names.items()}


def charts_of(protocol: str) -> list[Chart]:
    found = [chart for chart in charts().values() if protocol in chart.protocols]
    return sorted(found, key=lambda chart: (getattr(chart.module, "PLACE", 0), chart.name))


def figure_of(name: str, result: Result, knobs: Knobs) -> Json:
    """Raises KeyError for a chart that does not exist."""
    module = charts()[name].module
    figure: Json = module.figure(module.data(result, knobs))
    return figure
