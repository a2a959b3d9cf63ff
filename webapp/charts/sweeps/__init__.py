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
from collections.abc import Mapping

from webapp.charts import finding
from webapp.charts.finding import Chart
from webapp.charts.sweeps.options import Choice, Option
from webapp.charts.theme import Json
from webapp.sweeps.definition import Definition
from webapp.sweeps.models import Sweep

__all__ = ["Chart", "Choice", "Option", "charts", "charts_of", "figure_of", "options_of"]


@functools.cache
def charts() -> dict[str, Chart]:
    """Every chart by its name, in the order of their places."""
    return finding.charts_in(__name__, __path__, "QUESTION")


def charts_of(definition: Definition) -> list[Chart]:
    """Those that a sweep with this definition has."""
    return [chart for chart in charts().values() if chart.module.applies(definition)]


def options_of(name: str, sweep: Sweep) -> list[Option]:
    """Raises KeyError for a chart that does not exist."""
    options: list[Option] = charts()[name].module.options(sweep)
    return options


def figure_of(name: str, sweep: Sweep, options: Mapping[str, str]) -> Json:
    """Raises KeyError for a chart that does not exist, Invalid for an option or a value that it does not have."""
    return finding.drawn(charts()[name], sweep, options, finding.WHOLE)
