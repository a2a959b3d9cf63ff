"""Points that come in small requests are stored together, past Django's handler.

Fifty live runs send a hundred requests of fifty points a second: each by itself would cost a thread, ten statements and
a commit. So a plain request (a bearer token, an Idempotency-Key, up to 64 KiB) waits in a queue, and one thread stores
whatever has come meanwhile in one transaction. Only success is answered here. A request that is not plain, or that has
any fault, goes on to Django as it came; nothing of it has been stored then, and Django says what is wrong.
"""

from __future__ import annotations

import asyncio
import re

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from webapp.api import together
from webapp.api.limits import App, Message, Receive, Send, announced
from webapp.api.together import Order

POINTS = re.compile(r"/api/v1/runs/([1-9][0-9]{0,17})/metrics")
LARGEST_BODY = 64 << 10


class Intake:
    """In front of the application `app`, behind what bounds bodies."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        order = plain(scope)
        if order is None:
            await self.app(scope, receive, send)
            return
        messages, body = await _received(receive)
        stored = await asyncio.wrap_future(together.put(order._replace(body=body))) if body else None
        if stored is None:
            await self.app(scope, _again(messages, receive), send)
        else:
            await _answer(send, stored)


def plain(scope: Message) -> Order | None:
    """What a plain request wants; its body is still to come. None for every other one."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"]:
        return None
    match = POINTS.fullmatch(scope["path"])
    if not match or not 0 < announced(scope) <= LARGEST_BODY:
        return None
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or "idempotency-key" not in headers or not _is_welcome(scope, headers):
        return None
    return Order(int(match[1]), token.strip(), headers)


def _is_welcome(scope: Message, headers: dict[str, str]) -> bool:
    """Whether Django would neither refuse its Host nor send it to HTTPS."""
    host, _ = split_domain_port(headers.get("host", ""))
    name, secure = settings.SECURE_PROXY_SSL_HEADER or ("", "")
    proxied = headers.get(name.removeprefix("HTTP_").replace("_", "-").lower()) == secure if name else False
    is_secure = scope.get("scheme") == "https" or proxied
    return validate_host(host, settings.ALLOWED_HOSTS) and (is_secure or not settings.SECURE_SSL_REDIRECT)


async def _received(receive: Receive) -> tuple[list[Message], bytes]:
    """All messages of the body, and the body; an empty one when the client has gone."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    is_whole = messages[-1]["type"] == "http.request"
    return messages, b"".join(message.get("body", b"") for message in messages) if is_whole else b""


def _again(messages: list[Message], receive: Receive) -> Receive:
    waiting = iter(messages)

    async def received() -> Message:
        message = next(waiting, None)
        return await receive() if message is None else message

    return received


async def _answer(send: Send, stored: int) -> None:
    body = b'{"points":%d}' % stored
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": body})
