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
from collections.abc import Mapping

from webapp.charts import finding
from webapp.charts.finding import Chart
from webapp.charts.sweeps.options import Choice, Option
from webapp.charts.theme import Json
from webapp.scaling.reading import Reading

__all__ = [
    "Chart", "Choice", "Option", "charts", "charts_of", "comparison_of", "comparisons", "figure_of", "options_of",
]  # fmt: skip


@functools.cache
def charts() -> dict[str, Chart]:
    """Those of one fit, by name, in the order of their places."""
    return finding.charts_in(__name__, __path__, "applies")


@functools.cache
def comparisons() -> dict[str, Chart]:
    """Those of several fits, by name, in the order of their places."""
    return finding.charts_in(__name__, __path__, "compares")


def charts_of(reading: Reading) -> list[Chart]:
    """Those that a fit of this law has."""
    return [chart for chart in charts().values() if chart.module.applies(reading)]


def options_of(name: str, reading: Reading) -> list[Option]:
    """Raises KeyError for a chart that does not exist."""
    options: list[Option] = charts()[name].module.options(reading)
    return options


def figure_of(name: str, reading: Reading, **asked: str) -> Json:
    """Raises KeyError for a chart that does not exist, Invalid for an option or a value that it does not have."""
    return finding.drawn(charts()[name], reading, asked, finding.POSITIVE)


def comparison_of(name: str, readings: Mapping[str, Reading]) -> Json:
    """Of fits by their names. Raises KeyError for a chart that does not exist."""
    module = comparisons()[name].module
    figure: Json = module.figure(module.data(readings))
    return figure
