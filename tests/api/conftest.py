from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.api.world import World


@pytest.fixture
def world(db: None) -> World:
    from tests.api.world import World  # not before the settings are there

    return World()


@pytest.fixture
def live_world(transactional_db: None) -> World:
    """What is made here is committed, so that a server in another thread sees it."""
    from tests.api.world import World

    return World()


@pytest.fixture
def server(transactional_db: None) -> Iterator[str]:
    """The real application behind a real uvicorn on a free port; yields the API's address."""
    import uvicorn

    from webapp.asgi import application

    running = uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/api/v1"
    running.should_exit = True
    thread.join()
