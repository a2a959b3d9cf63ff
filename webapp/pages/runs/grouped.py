"""The table of groups: what each is called, how many runs it has, what they measured, and where they are found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from django.urls import reverse

from webapp.accounts.models import Project
from webapp.metrics.table.grouping import MOST_GROUPS, STATISTICS, Group, Groups, Statistics
from webapp.metrics.table.keys import Key, KeyValue
from webapp.pages.runs.columns import column
from webapp.pages.runs.query import Query
from webapp.pages.templatetags import hone as text

MOST_CURVES = 8
# of a run, as the page of curves calls what it can group by; it knows paths too
CURVE_KEYS = {"status": "status", "kind": "kind", "name": "name", "user": "user", "tags": "tag"}
NONE = "none"


class Head(NamedTuple):
    label: str
    url: str
    direction: str  # "ascending", "descending" or ""


class MetricHead(NamedTuple):
    label: str
    heads: list[Head]


class Cell(NamedTuple):
    """`of` tells in how many runs it was finite, where that is not all of them."""

    text: str
    of: str = ""


class Row(NamedTuple):
    names: list[str]
    count: int  # type: ignore[assignment]  # shadows tuple.count
    url: str
    curves_url: str
    cells: list[Cell]


class GroupTable(NamedTuple):
    keys: list[Head]
    runs: Head
    metrics: list[MetricHead]
    rows: list[Row]
    note: str
    curves_url: str


def group_table(project: Project, query: Query, groups: Groups, group: str) -> GroupTable:
    def head(label: str, name: str, first: str = "") -> Head:
        direction = {name: "ascending", f"-{name}": "descending"}.get(groups.sort, "")
        by = first + name if not direction else name if direction == "descending" else f"-{name}"
        return Head(label, grouped_url(query, group, by), direction)

    metrics = [
        MetricHead(column(one.name).label, [head(name, f"{name}:{one.name}") for name in STATISTICS])
        for one in groups.metrics
    ]
    return GroupTable(
        keys=[head(key.label, "key") for key in groups.keys],
        runs=head("Runs", "count", "-"),
        metrics=metrics,
        rows=[_row(project, query, groups, one) for one in groups.items],
        note=_note(groups),
        curves_url=_curves_url(project, query, groups, query.q),
    )


def grouped_url(query: Query, group: str, sort: str = "") -> str:
    own = urlencode({name: value for name, value in (("group", group), ("group_sort", sort)) if value})
    return "?" + "&".join(part for part in (query.url_query()[1:], own) if part)


def _row(project: Project, query: Query, groups: Groups, group: Group) -> Row:
    url = curves = ""
    if group.query is not None:
        url = query.url_query(q=group.query)
        curves = _curves_url(project, query, groups, group.query)
    return Row(
        names=[_named(value) for value in group.values],
        count=group.count,
        url=url,
        curves_url=curves,
        cells=[cell for statistics in group.metrics for cell in _cells(statistics, group.count)],
    )


def _named(value: KeyValue) -> str:
    return NONE if value.text is None else value.text or "(empty)"


def _cells(statistics: Statistics, count: int) -> list[Cell]:
    is_all = statistics.runs == count
    of = "" if is_all or not statistics.runs else f"of {statistics.runs:,}"
    return [Cell(text.metric(getattr(statistics, name)), of if name == "mean" else "") for name in STATISTICS]


def _note(groups: Groups) -> str:
    notes = []
    if groups.is_more:
        notes.append(f"There are more groups: these are the first {MOST_GROUPS:,} in this order.")
    if any(key.is_tag for key in groups.keys):
        notes.append("A run of several tags is counted in the group of each.")
    if not groups.metrics and groups.items:
        notes.append("No column of a metric is shown: choose some in Columns to see their means.")
    return " ".join(notes)


def _curves_url(project: Project, query: Query, groups: Groups, q: str) -> str:
    """The curves of the metrics that are shown, a mean with its band for each group; empty without a metric."""
    names = [one.metric[0] for one in groups.metrics if one.metric]
    if not names or any("," in name for name in names):
        return ""
    paths = _paths(groups.keys)
    told = {
        "project": project.slug, "q": q, "status": query.status, "kind": query.kind, "tag": query.tag,
        "metrics": ",".join(dict.fromkeys(names[:MOST_CURVES])), "band": "std" if paths else "",
        "group": ",".join(paths),
    }  # fmt: skip
    return f"{reverse('compare-curves')}?{urlencode({name: value for name, value in told.items() if value})}"


def _paths(keys: Sequence[Key]) -> list[str]:
    """The keys by which the page of curves can group too."""
    found = []
    for key in keys:
        head, *below = key.path.parts
        if below and not any("." in part or "," in part for part in below):
            found.append(".".join(below))
        elif head.lower() in CURVE_KEYS:
            found.append(CURVE_KEYS[head.lower()])
    return found
