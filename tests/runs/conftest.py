"""The Redis that tests of news may wipe, stop and start again."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs.wire import Wire
from webapp.runs import news

numbers = itertools.count(10_000)


@pytest.fixture(scope="module")
def one_wire() -> Iterator[Wire]:
    home = Path(tempfile.mkdtemp(prefix="hone-news-"))
    wire = Wire(home)
    yield wire
    wire.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def wire(one_wire, settings) -> Iterator[Wire]:
    settings.REDIS_URL = f"unix://{one_wire.servers.redis_socket}"
    news._publisher.cache_clear()
    yield one_wire
    if one_wire.process.poll() is not None:
        one_wire.start()
    news._publisher.cache_clear()


@pytest.fixture
def run_id() -> int:
    return next(numbers)
