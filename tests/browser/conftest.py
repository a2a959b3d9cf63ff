"""The real application (ASGI, so that event streams work) and a real Chromium, once for all tests of this folder."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

    from tests.pages.team import Team

Open = Callable[..., "Page"]


@pytest.fixture(scope="session")
def server(django_db_setup: None) -> Iterator[str]:
    """The address of uvicorn in a thread, on the test database."""
    import uvicorn

    from webapp.asgi import application

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    running.should_exit = True
    thread.join(10)
    listener.close()


@pytest.fixture
def team(transactional_db: None) -> Team:
    from tests.pages.team import make_team

    return make_team()


@pytest.fixture
def complaints() -> list[str]:
    """What the console complained of; a test that provokes something empties it."""
    return []


@pytest.fixture
def opened(chromium: Browser, server: str, team: Team, complaints: list[str]) -> Iterator[Open]:
    """Opens an address as somebody. A console error (a violation of the policy is one) fails the test at its end."""
    contexts: list[BrowserContext] = []

    def open_page(address: str, role: str = "editor", **options: object) -> Page:
        page = _page(chromium, server, team, role, contexts, **options)
        page.on("console", lambda message: complaints.append(message.text) if _is_complaint(message) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def _is_complaint(message: ConsoleMessage) -> bool:
    """An error, but for the browser's remark that a form was answered with 422."""
    return message.type == "error" and "status of 422" not in message.text


def _page(
    chromium: Browser, server: str, team: Team, role: str, contexts: list[BrowserContext], **options: object
) -> Page:
    from django.conf import settings

    context = chromium.new_context(base_url=server, **options)  # type: ignore[arg-type]
    context.set_default_timeout(8000)
    context.set_default_navigation_timeout(30_000)  # the first page of a process waits for its imports
    contexts.append(context)
    cookie = team.client(role).cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": server}])
    return context.new_page()
