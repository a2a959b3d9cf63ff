"""The size of request bodies, held before Django sees them.

Django's ASGI handler writes the whole body to a temporary file before any middleware or view is asked, so a limit in a
view would come too late for the disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from importlib import import_module
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.db import connection
from django.http import parse_cookie

from webapp.accounts.queries import user_of_token

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

TAKE_FILES = ("/uploads", "/sweeps/import", "/runs/new/")  # of the API, and the form of a new run
ARTIFACT = re.compile(r"/api/v1/runs/[0-9]+/artifacts/.")
FORM_FRAME_BYTES = 1 << 20  # what a form may add around its file


class BodyLimit:
    """Answers 413 to a body that is announced, or turns out, to be larger than its address may receive."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = limit_of(scope["path"])
        if limit > settings.DATA_UPLOAD_MAX_MEMORY_SIZE and not await sync_to_async(is_somebody)(scope):
            limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if announced(scope) > limit:
            await _refuse(send, limit)
            return
        await self.app(scope, _counting(receive, send, limit), send)


def limit_of(path: str) -> int:
    """Addresses that take a file may receive one, everything else what a form or a batch of points may weigh."""
    if path.endswith(TAKE_FILES) or ARTIFACT.match(path):
        return int(settings.MAX_UPLOAD_BYTES) + FORM_FRAME_BYTES
    return int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


def is_somebody(scope: Message) -> bool:
    """Whether a living token or session comes with the request: nobody else fills the disk before being refused."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    scheme, _, token = headers.get(b"authorization", "").partition(" ")
    try:
        if scheme:
            return user_of_token(token.strip()) is not None
        return SESSION_KEY in _session(headers.get(b"cookie", ""))
    finally:
        connection.close()  # no request has begun yet whose end would close it


def _session(cookies: str) -> SessionBase:
    engine: Any = import_module(settings.SESSION_ENGINE)
    session: SessionBase = engine.SessionStore(parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME))
    return session


def announced(scope: Message) -> int:
    values = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(values[0]) if values and values[0].isdigit() else 0


def _counting(receive: Receive, send: Send, limit: int) -> Receive:
    """Passes the body on; beyond the limit it answers itself and tells the application that the client has gone."""
    received = 0
    refused = False

    async def counted() -> Message:
        nonlocal received, refused
        if refused:
            return {"type": "http.disconnect"}
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            refused = True
            await _refuse(send, limit)
            return {"type": "http.disconnect"}
        return message

    return counted


async def _refuse(send: Send, limit: int) -> None:
    detail = f"The request body is larger than the limit of {limit:,} bytes at this address."
    body = json.dumps({"detail": detail, "errors": []}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
