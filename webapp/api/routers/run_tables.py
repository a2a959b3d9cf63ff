"""Runs beyond one page of them: all that match as a file, and in groups."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Query, Router
from pydantic import Field

from webapp.api.errors import Invalid
from webapp.api.openapi import file_reply
from webapp.api.routers.metrics import CONTENT_TYPES
from webapp.api.routers.runs import RunFilter, matching, sort_of
from webapp.api.schemas.tables import GroupList
from webapp.api.streaming import attachment
from webapp.metrics.table.exporting import Format, export
from webapp.metrics.table.fields import fault_of, fields, usual
from webapp.metrics.table.grouping import grouped
from webapp.metrics.table.keys import keys_of
from webapp.runs.tables import order_of

router = Router()
MOST_COLUMNS = 40
USUAL = ("status", "kind", "method", "tags", "created", "time")
FILE = file_reply("A row for each run.", "text/csv", "application/vnd.apache.parquet")
COLUMNS = (
    "Separated by commas, or the parameter repeated: names of the query language (params.optimizer.lr, "
    "metrics.eval/loss.min, created), of the page (method, model, memory, progress, trainable), or of a metric."
)
Columns = Annotated[list[str], Query(description=COLUMNS)]
Group = Annotated[str, Query(max_length=600, description="One to three, by commas: params.<path>, tag, user, status.")]
GroupSort = Annotated[str, Field(description="count, key, mean:<column> (std, min, max); - in front turns it round.")]


@router.get("/export", response={200: None}, openapi_extra=FILE)
def export_runs(
    request: HttpRequest,
    filters: Query[RunFilter],
    columns: Columns = [],  # noqa: B006
    sort: str = "-id",
    form: Annotated[Format, Query(alias="format")] = "csv",
) -> StreamingHttpResponse:
    """All runs that match, with their number, name and `columns`, sorted as a list of runs is. At most 100,000.

    In Parquet numbers and times have their types; a parameter is a number where every run that has it has a number.
    """
    order = order_of(sort_of(sort).removeprefix("-"))
    pieces = export(matching(request, filters), order, sort, fields(_names(columns) or USUAL), form)
    return attachment(request, pieces, f"runs.{form}", content_type=CONTENT_TYPES[form])


@router.get("/groups", response=GroupList)
def group_runs(
    request: HttpRequest,
    filters: Query[RunFilter],
    group: Group,
    columns: Columns = [],  # noqa: B006
    sort: GroupSort = "-count",
) -> GroupList:
    """The runs that match in groups, with mean, standard deviation, min and max of each metric among `columns`.

    Without `columns` it is the metric that `sort` names, else eval/loss, eval/perplexity and eval/accuracy where the
    newest runs have them, else the first three metrics that they have.

    A metric stands for its last value, `metrics.<name>.min` (max, mean, first) for that. A run of several tags is in
    the group of each; otherwise the counts add up. At most 500 groups and 20 metrics.
    """
    runs = matching(request, filters)
    shown = _names(columns) or [sort.partition(":")[2]] * (":" in sort) or usual(runs)
    return GroupList.of(grouped(runs, keys_of(group), fields(shown), sort, filters.q))


def _names(columns: list[str]) -> list[str]:
    """Raises Invalid for those that begin as a path (`params.`) and are none: no run would have a value there."""
    names = [name.strip() for one in columns for name in one.split(",") if name.strip()][:MOST_COLUMNS]
    if faults := [(name, fault) for name in names if (fault := fault_of(name))]:
        raise Invalid([{"loc": ["columns"], "msg": f"{name!r} is no column: {fault}."} for name, fault in faults])
    return names
