"""A Redis of its own for the tests of news, and what they say of a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import redis

from webapp.runs import news
from webapp.system.embedded import Servers, stop

Item = tuple[str, str, Any]  # entry id, type, data


class Wire:
    """A Redis of the test's own, which it may wipe, stop and start again."""

    def __init__(self, home: Path) -> None:
        self.servers = Servers(home)
        self.process = self.servers.start_redis()
        self.client = redis.Redis(unix_socket_path=str(self.servers.redis_socket), decode_responses=True)

    def stop(self) -> None:
        stop(self.process)

    def start(self) -> None:
        """From the test's own thread: the kernel ends a server with the *thread* that started it (die_with_parent)."""
        self.process = self.servers.start_redis()


async def follow(run_id: int, last_id: str | None = None) -> AsyncIterator[Item]:
    """One item after the other, however they travelled."""
    async with aclosing(news.follow(run_id, last_id)) as stream:
        async for told in stream:
            for each in told:
                yield each.id, each.kind, json.loads(each.json)


async def take(stream, number: int, timeout_s: float = 5.0) -> list[Item]:
    async with asyncio.timeout(timeout_s):
        return [await anext(stream) for _ in range(number)]


def kinds(items: list[Item]) -> list[str]:
    return [kind for _, kind, _ in items]
