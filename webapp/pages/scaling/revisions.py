"""The revisions of a fit: what each was fitted to, and how its numbers moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from webapp.pages.runs.describe import number_at
from webapp.pages.runs.facts import NOTHING, Fact
from webapp.pages.scaling.result import facts_of, size_of
from webapp.pages.templatetags import hone as text
from webapp.scaling import queries
from webapp.scaling.models import Fit, Revision

NAMED = 4


class Row(NamedTuple):
    """`values` are those of the parameters that matter most, by their label."""

    revision: Revision
    size: str
    error: str
    objective: str
    values: dict[str, Fact]


def labels_of(rows: list[Row]) -> list[str]:
    """The columns of `values`, as the newest revision has them first."""
    return list(dict.fromkeys(label for row in rows for label in row.values))


def rows_of(fit: Fit) -> list[Row]:
    """The newest first."""
    return [_row(revision) for revision in queries.revisions(fit)]


def _row(revision: Revision) -> Row:
    result: Mapping[str, Any] = revision.run.result or {}
    if not isinstance(result.get("parameters"), dict):
        return Row(revision, "", NOTHING, NOTHING, {})
    error = number_at(result, "holdout", "mean_relative_error")
    return Row(
        revision, size_of(result), NOTHING if error is None else text.percent(error),
        text.metric(number_at(result, "objective", "value")),
        {fact.label: fact for fact in facts_of(result)[:NAMED]},
    )  # fmt: skip
