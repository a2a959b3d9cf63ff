"""Django behind ASGI with fewer changes of thread: by default they cost more than most requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware
from servestatic.middleware import ServeStaticMiddleware

App = Callable[[Any, Any, Any], Awaitable[None]]


class OneThread(ASGIHandler):
    """Runs middlewares and view in the request's own thread, one after the other.

    Django's own handler runs the chain on the event loop, and hops into the thread and back for every hook of a
    middleware that is not written for it: some 20 times a request. A response whose body is an asynchronous iterator
    is sent from the event loop as ever.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)
        self._middleware_chain: Any = sync_to_async(self._middleware_chain, thread_sensitive=True)


class StaticAside:
    """Leaves static files to Django's own handler: their middleware streams them only on the event loop."""

    def __init__(self, static: App, everything_else: App) -> None:
        self.static = static
        self.everything_else = everything_else

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        app = self.static if is_static(scope.get("path", "")) else self.everything_else
        await app(scope, receive, send)


@sync_and_async_middleware
def static_files(get_response: Any) -> Any:
    """ServeStatic's middleware, which knows no other way than the event loop's; a chain without one steps around it."""
    if iscoroutinefunction(get_response):
        return ServeStaticMiddleware(get_response)

    @cache
    def files() -> Any:
        return async_to_sync(ServeStaticMiddleware(sync_to_async(get_response)).__call__)

    def answer(request: HttpRequest) -> Any:
        return (files() if is_static(request.path_info) else get_response)(request)

    return answer


def is_static(path: str) -> bool:
    return path.startswith(settings.STATIC_URL)
