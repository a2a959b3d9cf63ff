"""The charts of a page about fits: which there are, where each is read from, and what may be asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from django.urls import reverse

from webapp.accounts.models import Project
from webapp.charts import scaling as charts
from webapp.charts.scaling import Chart, Option, later
from webapp.charts.theme import Json
from webapp.pages.scaling.asked import number_of
from webapp.pages.scaling.comparing import Compared
from webapp.runs.models import Run
from webapp.scaling import queries, reading
from webapp.scaling.models import Fit, Revision
from webapp.scaling.reading import Reading

LATER = "later"  # the one chart that is of all revisions together


class Panel(NamedTuple):
    """`url` and `csv_url` lead to the figure and to its numbers as a file."""

    name: str
    title: str
    question: str
    is_wide: bool
    url: str
    csv_url: str
    options: Sequence[Option] = ()


def of_run(run: Run, read: Reading) -> list[Panel]:
    return [
        _panel(chart, reverse("fit-run-figure", args=[run.project.slug, run.pk, chart.name]), {}, read)
        for chart in charts.charts_of(read)
    ]


def of_fit(fit: Fit, shown: Revision, read: Reading) -> list[Panel]:
    """The revision is in the address, so that a chart never mixes with those of a revision that came meanwhile."""
    query = {"revision": str(shown.number)}
    found = [
        _panel(chart, reverse("fit-figure", args=[fit.project.slug, fit.pk, chart.name]), query, read)
        for chart in charts.charts_of(read)
    ]
    if queries.measured_later(fit):
        url = reverse("fit-figure", args=[fit.project.slug, fit.pk, LATER])
        found.append(Panel(LATER, later.TITLE, later.QUESTION, later.IS_WIDE, url, f"{url}?format=csv"))
    return found


def of_several(project: Project, found: Sequence[Compared]) -> list[Panel]:
    """Those that compare; none of one fit alone."""
    if len(found) < 2:
        return []
    query = {"fits": ",".join(str(one.fit.pk) for one in found)}
    told = named(found)
    return [
        _panel(chart, reverse("fits-figure", args=[project.slug, chart.name]), query)
        for chart in charts.comparisons().values()
        if chart.module.compares(told)
    ]


def named(found: Sequence[Compared]) -> dict[str, Reading]:
    """By name, with the number where two have the same."""
    names = [one.fit.name for one in found]
    return {
        one.fit.name if names.count(one.fit.name) == 1 else f"{one.fit.name} ({one.fit.pk})": one.reading
        for one in found
    }


def _panel(chart: Chart, url: str, query: Mapping[str, str], read: Reading | None = None) -> Panel:
    options = charts.options_of(chart.name, read) if read is not None else []
    asked = f"{url}?{urlencode(query)}" if query else url
    csv_url = f"{url}?{urlencode({**query, 'format': 'csv'})}"
    return Panel(chart.name, chart.title, chart.question, chart.is_wide, asked, csv_url, options)


def figure_of_later(fit: Fit) -> Json:
    """What revisions foresaw of runs that came after them."""
    measured = queries.measured_later(fit)
    told = {each.revision: reading.read(each.revision.run) for each in measured}
    readings = {revision: read for revision, read in told.items() if read is not None}
    return later.figure(later.data(readings, measured))


def figure_of(chart: str, read: Reading, asked: Mapping[str, str]) -> Json:
    """Numbers as people type them. Raises KeyError for a chart that does not exist, Invalid for a wrong option."""
    is_open = {option.name for option in charts.options_of(chart, read) if option.is_open}
    given = {name: _plain(value) if name in is_open else value for name, value in asked.items()}
    return charts.figure_of(chart, read, **given)


def _plain(typed: str) -> str:
    """70B as 70000000000; what is no number stays, for the chart to name it."""
    try:
        return repr(number_of(typed))
    except ValueError:
        return typed


def figure_of_several(chart: str, found: Sequence[Compared]) -> Json:
    """Raises KeyError for a chart that does not exist, or not for so few."""
    if len(found) < 2 or not charts.comparisons()[chart].module.compares(named(found)):
        raise KeyError(chart)
    return charts.comparison_of(chart, named(found))
