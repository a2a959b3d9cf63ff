"""Metrics of one run: summaries, windows for charts, every point, and points from outside."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Header, Query, Router, Status
from pydantic import Field

from webapp.accounts.models import Role
from webapp.api.access import run_or_404, slim_run_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Conflict, Invalid
from webapp.api.openapi import file_reply
from webapp.api.points import PointsBody
from webapp.api.schemas.metrics import Axis, MetricList, MetricOutput, PointsInput, PointsReply, SeriesOutput
from webapp.api.serializers import summary_output
from webapp.api.streaming import PIECE_BYTES, attachment, gathered
from webapp.metrics import actions, arrow, catalogue, queries
from webapp.metrics.export import export
from webapp.metrics.external import Columns
from webapp.metrics.queries import Window
from webapp.runs.actions.outside import EXTERNAL, OPEN
from webapp.runs.models import Run

router = Router()
Points = Annotated[int, Field(ge=8, le=20_000)]
MOST_EVERY = 200_000
Finite = Annotated[float, Field(allow_inf_nan=False)]
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "arrow": arrow.CONTENT_TYPE,
}
KEY = "Sent again with the same key (up to 200 characters, kept for a day), a request stores nothing twice."
POINTS_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "By itself, or with Content-Encoding gzip or zstd.",
        "content": {
            "application/json": {"schema": PointsInput.model_json_schema()},
            arrow.CONTENT_TYPE: {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": "An Arrow IPC stream with the columns name, value and, as you like, step and time.",
                }
            },
        },
    }
}
FILE = file_reply(
    "Rows of name, step, value and time.",
    "text/csv",
    "application/jsonl",
    "application/vnd.apache.parquet",
    arrow.CONTENT_TYPE,
)


@router.get("/{int:run_id}/metrics", response=MetricList)
def list_metrics(
    request: HttpRequest,
    run_id: int,
    q: Annotated[str, Query(max_length=400, description="Every word must be in the name, in whatever case.")] = "",
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000,
    cursor: Annotated[str, Query(max_length=250, description="`next` of the page before.")] = "",
) -> MetricList:
    """The metrics that the run has logged, by name, with last, min, max, mean and count."""
    run = slim_run_or_404(user_of(request), run_id)
    some = catalogue.find(run.pk, q, after=cursor.replace("\x00", ""), limit=limit)
    found = queries.summaries([run.pk], some.names)[run.pk]
    items = [MetricOutput(name=name, **summary_output(values).model_dump()) for name, values in sorted(found.items())]
    return MetricList(items=items, next=some.names[-1] if some.has_more else None)


@router.post("/{int:run_id}/metrics", response={201: PointsReply}, openapi_extra=POINTS_BODY)
def log_points(
    request: HttpRequest,
    run_id: int,
    key: Annotated[str | None, Header(alias="Idempotency-Key", description=KEY)] = None,
) -> Status[PointsReply]:
    """Adds points to a run of kind external. All of them are stored, or none. For editors."""
    run = slim_run_or_404(user_of(request), run_id, Role.EDITOR)
    body = PointsBody.of({name.lower(): value for name, value in request.headers.items()}, request.body)

    def read() -> dict[str, Columns]:
        _require_open(run)
        return body.columns()

    return Status(201, PointsReply(points=actions.log_once(run, key, body.digest, read)))


@router.get("/{int:run_id}/series", response=SeriesOutput)
def get_series(
    request: HttpRequest,
    run_id: int,
    name: str,
    points: Points = 1000,
    start: Annotated[Finite | None, Query(alias="from")] = None,
    stop: Annotated[Finite | None, Query(alias="to")] = None,
    x: Axis = "step",
    every: Annotated[
        bool, Query(description=f"All points of the window, not `points`: at most {MOST_EVERY:,}.")
    ] = False,
) -> SeriesOutput:
    """A window of one series for a chart: at most `points` of it, with its spikes kept."""
    run = slim_run_or_404(user_of(request), run_id)
    window = queries.window(run.pk, name, x=x, start=start, stop=stop, points=MOST_EVERY if every else points)
    if every and window.decimated:
        message = f"There are {window.count:,} points here, and at most {MOST_EVERY:,} are drawn one by one: zoom in."
        raise Invalid([{"loc": ["every"], "msg": message}])
    return SeriesOutput(**series_fields(window))


@router.get("/{int:run_id}/export", response={200: None}, openapi_extra=FILE)
def export_series(
    request: HttpRequest,
    run_id: int,
    name: Annotated[list[str], Query(description="Repeat it for several; all when left out.")] = [],  # noqa: B006
    kind: Annotated[Literal["csv", "parquet", "jsonl", "arrow"], Query(alias="format")] = "csv",
) -> StreamingHttpResponse:
    """Every point as a file: name, step, value and time in each row."""
    run = run_or_404(user_of(request), run_id)
    names = name or queries.names(run.pk)
    filename = f"run-{run.pk}-{_file_stem(names)}.{kind}"
    pieces = gathered(export(run, names, kind), PIECE_BYTES)
    return attachment(request, pieces, filename, content_type=CONTENT_TYPES[kind])


def _require_open(run: Run) -> None:
    if run.kind != EXTERNAL:
        raise Conflict(f"Run {run.pk} is a {run.kind} run: only runs of kind external take points from outside.")
    if run.status not in OPEN:
        raise Conflict(f"Run {run.pk} has ended ({run.status}): no points can be added.")


def series_fields(window: Window) -> dict[str, Any]:
    return {
        "name": window.name, "x_axis": window.x_axis, "x": window.x.tolist(), "y": window.y.tolist(),
        "count": window.count, "decimated": window.decimated,
    }  # fmt: skip


def _file_stem(names: list[str]) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", names[0])[:80] if len(names) == 1 else "metrics"
