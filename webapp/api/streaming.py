"""Bodies that are never in memory as a whole: downloads and event streams."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import IO, Any

from asgiref.sync import SyncToAsync, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header

from webapp.api.errors import BadRequest, TooLarge

PIECE_BYTES = 1 << 20


def attachment(
    request: HttpRequest, pieces: Iterator[bytes], filename: str, *, content_type: str = "application/octet-stream",
    size: int | None = None,
) -> StreamingHttpResponse:  # fmt: skip
    """A download: never shown in the page's origin, whatever its bytes are."""
    response = streamed(request, pieces, content_type)
    response["Content-Disposition"] = content_disposition_header(True, filename) or "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    if size is not None:
        response["Content-Length"] = str(size)
    return response


def streamed(request: HttpRequest, pieces: Iterator[bytes], content_type: str) -> StreamingHttpResponse:
    """Under ASGI Django would collect a plain iterator into a list first, so it gets an asynchronous one there."""
    content: Any = _asynchronous(pieces) if isinstance(request, ASGIRequest) else pieces
    response = StreamingHttpResponse(content, content_type=content_type)
    response["X-Accel-Buffering"] = "no"
    return response


async def _asynchronous(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each piece is made in the request's own thread, which lets go of its database connection before it is sent: a
    slow reader keeps none from others."""

    def next_piece() -> bytes | None:
        try:
            return next(pieces, None)
        finally:
            _close_connections()

    following = sync_to_async(next_piece)
    try:
        while (piece := await following()) is not None:
            yield piece
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            await sync_to_async(close)()


def refuse_announced_size(request: HttpRequest) -> None:
    """Raises TooLarge before a byte of the body is read."""
    announced = int(request.META.get("CONTENT_LENGTH") or 0)
    if announced > settings.MAX_UPLOAD_BYTES:
        limit = f"{settings.MAX_UPLOAD_BYTES:,}"
        raise TooLarge(f"{announced:,} bytes are more than the limit of {limit} (HONE_MAX_UPLOAD_BYTES).")


def body_pieces(request: HttpRequest) -> Iterator[bytes]:
    """The request's body piece by piece. Raises BadRequest when there is none."""
    if not request.META.get("CONTENT_LENGTH") and not request.META.get("HTTP_TRANSFER_ENCODING"):
        raise BadRequest("The request has no body: send the file's bytes.")
    while piece := request.read(PIECE_BYTES):
        yield piece


def in_pieces(file: IO[bytes] | Any) -> Iterator[bytes]:
    """Reads a file to its end and closes it."""
    with file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def gathered(parts: Iterable[bytes], size: int = 1 << 16) -> Iterator[bytes]:
    """The same bytes in pieces of at least `size`: a row of CSV is not worth a hop between threads."""
    waiting = bytearray()
    for part in parts:
        waiting += part
        if len(waiting) >= size:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def tar(files: Iterable[tuple[str, int, float, Iterator[bytes]]]) -> Iterator[bytes]:
    """A tar archive of (path, size, modified, bytes), written as it is read; sizes must be right."""
    for path, size, modified, pieces in files:
        entry = tarfile.TarInfo(path)
        entry.size, entry.mtime, entry.mode = size, int(modified), 0o644
        yield entry.tobuf(tarfile.PAX_FORMAT)
        yield from pieces
        yield b"\0" * (-size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


async def let_go_of_thread() -> None:
    """Closes the request's database connections and ends its thread, so that an idle viewer costs neither.

    Django gives each ASGI request a thread of its own until the response has ended, which for an event stream may be
    hours. The next synchronous call in the request (Django's own, at the end) gets a fresh one.
    """
    await sync_to_async(_close_connections)()
    context = SyncToAsync.thread_sensitive_context.get(None)
    executor = SyncToAsync.context_to_thread_executor.pop(context, None) if context else None
    if executor is not None:
        executor.shutdown(wait=False)


def _close_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
