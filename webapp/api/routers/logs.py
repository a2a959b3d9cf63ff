"""What a run says: its log, and its news as they happen."""

from __future__ import annotations

from typing import Annotated, Literal

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Header, Query, Router
from pydantic import Field

from webapp.api.access import LARGEST_ID, run_or_404, slim_run_or_404
from webapp.api.auth import user_of
from webapp.api.errors import Invalid
from webapp.api.events import event_stream
from webapp.api.openapi import file_reply
from webapp.api.schemas.runs import LogLineOutput, LogList
from webapp.runs.models import LogLine, Run

router = Router()
LEVELS = ("debug", "info", "warning", "error")
STREAM = file_reply("`id:`, `event:` and `data:` lines; `data` is JSON.", "text/event-stream")
Lines = Annotated[int, Field(ge=1, le=5000)]


@router.get("/{int:run_id}/logs", response=LogList)
def list_logs(
    request: HttpRequest,
    run_id: int,
    cursor: str = "",
    tail: Lines | None = None,
    level: Literal["debug", "info", "warning", "error"] | None = None,
    limit: Lines = 1000,
) -> LogList:
    """Lines in order: the first ones, those after `cursor`, or the last `tail`; `level` is the lowest wanted."""
    run = run_or_404(user_of(request), run_id)
    lines = LogLine.objects.filter(run=run, id__gt=_place(cursor)).select_related("attempt")
    if level is not None:
        lines = lines.filter(level__in=LEVELS[LEVELS.index(level) :])
    rows = list(reversed(lines.order_by("-id")[:tail])) if tail else list(lines.order_by("id")[:limit])
    following = str(rows[-1].pk) if rows else cursor or None
    return LogList(items=[_line(row) for row in rows], next=following)


@router.get("/{int:run_id}/events", response={200: None}, openapi_extra=STREAM)
async def follow_run(
    request: HttpRequest,
    run_id: int,
    after: Annotated[str | None, Query(description="The id to go on from, where no Last-Event-ID is sent.")] = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> StreamingHttpResponse:
    """Server-sent events: points, media, log, state, rewind, artifacts; `hello` at first, `reset` when some are lost.

    A reconnecting browser sends Last-Event-ID and gets what it has missed; a page says `after` which event it was made.
    The stream ends after 15 minutes; reconnect.
    """
    run: Run = await sync_to_async(slim_run_or_404)(user_of(request), run_id)
    return event_stream(run.pk, last_event_id or after or None)


def _place(cursor: str) -> int:
    if not cursor:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 19 or int(cursor) > LARGEST_ID:
        raise Invalid([{"loc": ["cursor"], "msg": "Pass the `next` of an earlier answer, or leave it out."}])
    return int(cursor)


def _line(line: LogLine) -> LogLineOutput:
    number = line.attempt.number if line.attempt else None
    return LogLineOutput(id=line.pk, attempt=number, at=line.at, level=line.level, message=line.message)
