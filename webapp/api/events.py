"""Server-sent events: a run's news as text/event-stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from django.http import StreamingHttpResponse

from webapp.api.streaming import let_go_of_thread
from webapp.runs import news

LONGEST_S = 900.0  # then the browser reconnects by itself, and its access is checked again
RETRY_MS = 1000


def event_stream(run_id: int, last_id: str | None) -> StreamingHttpResponse:
    response = StreamingHttpResponse(_frames(run_id, last_id), content_type="text/event-stream; charset=utf-8")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
    return response


async def _frames(run_id: int, last_id: str | None) -> AsyncIterator[bytes]:
    await let_go_of_thread()
    yield f"retry: {RETRY_MS}\n\n".encode()
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + LONGEST_S
    async with aclosing(news.follow(run_id, last_id)) as following:  # type: ignore[type-var]
        async for told in following:
            yield b"".join([each.event for each in told])
            if loop.time() > ends_at:
                return
