"""What every chart of a study promises: valid figures of any result, and a sentence where there is nothing."""

from __future__ import annotations

import random

import pytest

from tests.charts.figures import is_shown_in_every_figure, validated
from tests.sweeps.protocols.study import Series, a_study
from webapp.charts import protocols as charts
from webapp.charts.protocols import Chart
from webapp.sweeps import registry
from webapp.sweeps.measures.outcomes import Result
from webapp.sweeps.registry import Knobs

CHARTS = list(charts.charts().values())
every_chart = pytest.mark.parametrize("chart", CHARTS, ids=[chart.name for chart in CHARTS])


def result_of(chart: Chart, seed: int | None) -> tuple[Result, Knobs]:
    """Of a study with every kind of row, or of none."""
    entry = registry.entries("protocols")[chart.protocols[0]]
    knobs = entry.knobs(name=entry.name)
    rows, series, labels = a_study(random.Random(seed)) if seed is not None else ([], Series(), {})
    return entry.module.analyse(knobs, rows, series, labels), knobs


def test_every_protocol_has_a_chart() -> None:
    assert {name for chart in CHARTS for name in chart.protocols} == set(registry.entries("protocols"))


@every_chart
def test_a_study_without_trials_gets_a_figure_that_says_so(chart: Chart) -> None:
    figure = charts.figure_of(chart.name, *result_of(chart, None))
    (note,) = validated(figure).layout.annotations
    assert note.text.endswith("yet.")


@every_chart
@pytest.mark.parametrize("seed", range(6))
def test_any_result_gives_a_figure_that_plotly_accepts(chart: Chart, seed: int) -> None:
    figure = charts.figure_of(chart.name, *result_of(chart, seed))
    assert validated(figure).data
    is_shown_in_every_figure(figure)
    assert figure["layout"]["meta"]["caption"] is not None


@every_chart
def test_a_chart_asks_a_question_and_has_a_title(chart: Chart) -> None:
    assert chart.question.endswith("?") and chart.title
