"""What happens to a run, told to open pages through Redis Streams: `hone:news:<run id>`, `hone:news:all` for tables.

A stream keeps about 5,000 entries for a day. It is a wire, not a record: everything in it can be read again from
Postgres, so a reader that may have missed something is told `reset` and reads again. Readers get `hello`, `reset` and
`ping` from `follow` itself; the other types are what `publish` was given.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from functools import cache, partial
from typing import Any, Literal

import redis
import redis.asyncio
from django.conf import settings
from django.db import transaction
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from webapp.runs import plain

Key = int | Literal["all"]
News = tuple[str, str, dict[str, Any]]  # entry id, type, data

LONGEST = 5000
LIFE_S = 86_400
PING_S = 15.0
PATIENCE_S = 1.0
PAUSE_AFTER_FAILURE_S = 2.0  # what an action may lose to a Redis that swallows packets: 1 s in every 3
RECONNECT_S = 0.5
START = "0-0"
logger = logging.getLogger(__name__)


def key_of(run_id: Key) -> str:
    return f"hone:news:{run_id}"


class _Publisher:
    """One connection pool a process, and the streams that missed something while Redis was away."""

    def __init__(self) -> None:
        self.client = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=PATIENCE_S,
            socket_timeout=PATIENCE_S,
            retry=Retry(NoBackoff(), 1),  # one more try: the first may meet a connection that a restart has closed
        )
        self.missed: set[Key] = set()
        self.silent_until = 0.0

    def publish(self, run_id: Key, kind: str, data: dict[str, Any]) -> None:
        if time.monotonic() < self.silent_until:
            self.missed.add(run_id)
            return
        try:
            self._send(run_id, kind, data)
        except (RedisError, OSError) as error:
            logger.warning("News of run %s are lost, Redis is away: %s", run_id, error)
            self.missed.add(run_id)
            self.silent_until = time.monotonic() + PAUSE_AFTER_FAILURE_S

    def tail(self, run_id: Key) -> str | None:
        if time.monotonic() < self.silent_until:
            return None
        try:
            last: Any = self.client.xrevrange(key_of(run_id), count=1)
        except (RedisError, OSError):
            self.silent_until = time.monotonic() + PAUSE_AFTER_FAILURE_S
            return None
        return last[0][0].decode() if last else START

    def _send(self, run_id: Key, kind: str, data: dict[str, Any]) -> None:
        key = key_of(run_id)
        with self.client.pipeline(transaction=False) as pipe:
            if run_id in self.missed:
                pipe.xadd(key, {"type": "reset", "data": "{}"}, maxlen=LONGEST, approximate=True)
            pipe.xadd(key, {"type": kind, "data": json.dumps(plain.json(data))}, maxlen=LONGEST, approximate=True)
            pipe.expire(key, LIFE_S)
            pipe.execute()
        self.missed.discard(run_id)


def tail(run_id: Key) -> str | None:
    """The id of the last entry: who reads from Postgres after this, and then follows from here, misses nothing.

    None while Redis is away.
    """
    return _publisher().tail(run_id)


@cache
def _publisher() -> _Publisher:
    return _Publisher()


def publish(run_id: Key, kind: str, data: dict[str, Any]) -> None:
    """Appends plain values to a run's stream (NaN and the infinities travel as words, see plain.py).

    Never raises for a Redis that is away: the next success is preceded by `reset`.
    """
    _publisher().publish(run_id, kind, data)


def publish_on_commit(run_id: Key, kind: str, data: dict[str, Any]) -> None:
    """Publishes once the surrounding transaction is committed, so that whoever reads again finds the new state."""
    transaction.on_commit(partial(publish, run_id, kind, data))


async def follow(run_id: Key, last_id: str | None = None) -> AsyncIterator[News]:
    """Yields (id, type, data) for ever; closing the generator closes its connection.

    Without `last_id` it starts at the tail with `hello`. `reset` comes when something may have been missed: an id older
    than what the stream still holds, a wiped or restarted Redis, a publisher that could not reach it. `ping` comes
    every 15 s of silence. The id of every item is the one to come back with.
    """
    reader = _Reader(key_of(run_id), last_id)
    try:
        while True:
            for news in await _abandonable(reader.next()):
                yield news
    finally:
        await reader.close()


async def _abandonable(work: Coroutine[Any, Any, list[News]]) -> list[News]:
    """Waits for work of which a cancellation may be swallowed: then it is left behind, and ends with its connection.

    Before Python 3.12 asyncio.wait_for, with which redis-py writes, loses a cancellation that meets the end of the
    write; the reader of a viewer who has left would stay.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody is left to hear of it
        task.cancel()
        raise
    return task.result()


class _Reader:
    """The position of one reader in one stream. Entry ids are Redis's: milliseconds and a count, always rising."""

    def __init__(self, key: str, last_id: str | None) -> None:
        self.key = key
        self.last_id = last_id or START
        self.greeting: str | None = "catch up" if last_id else "hello"  # what the next connection begins with
        self.pinged_at = time.monotonic()
        self.client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL,
            decode_responses=True,
            protocol=2,
            single_connection_client=True,
            socket_connect_timeout=PATIENCE_S,
            socket_timeout=PING_S + 5,  # a dead peer is noticed; must outlast the blocking read
            retry=AsyncRetry(NoBackoff(), 0),
        )

    async def next(self) -> list[News]:
        """What to yield now; waits for it at most 15 s."""
        try:
            if self.greeting:
                return await self._greet(self.greeting)
            return await self._read()
        except (RedisError, OSError) as error:
            logger.debug("Following %s: %s", self.key, error)
            return await self._after_failure()

    async def close(self) -> None:
        with suppress(RedisError, OSError):
            await self.client.aclose()

    async def _greet(self, greeting: str) -> list[News]:
        first, tail = await self._ends()
        self.greeting = None
        if greeting == "catch up" and not _may_have_missed(self.last_id, first, tail):
            return []
        self.last_id = tail
        return [(tail, "hello" if greeting == "hello" else "reset", {})]

    async def _read(self) -> list[News]:
        answer: Any = await self.client.xread({self.key: self.last_id}, block=int(PING_S * 1000))
        if self.last_id != START:  # a wipe breaks no connection: it shows in a stream that begins after our place
            first, tail = await self._ends()
            if _may_have_missed(self.last_id, first, tail):
                self.last_id = tail
                return [(tail, "reset", {})]
        if not answer:
            return self._ping()
        news = [(entry_id, fields["type"], json.loads(fields["data"])) for entry_id, fields in answer[0][1]]
        self.last_id = news[-1][0]
        return news

    async def _ends(self) -> tuple[str, str]:
        """The ids of the stream's first and last entry, "0-0" twice when there is none."""
        async with self.client.pipeline(transaction=True) as pipe:
            ends: Any = pipe.xrange(self.key, count=1)
            first, last = await ends.xrevrange(self.key, count=1).execute()
        return (first[0][0], last[0][0]) if first and last else (START, START)

    async def _after_failure(self) -> list[News]:
        """Connects anew on the next call; whatever was published meanwhile is unknown, hence `reset`."""
        self.greeting = "reset"
        await self.close()
        await asyncio.sleep(RECONNECT_S)
        return self._ping() if time.monotonic() - self.pinged_at >= PING_S else []

    def _ping(self) -> list[News]:
        self.pinged_at = time.monotonic()
        return [(self.last_id, "ping", {})]


def _may_have_missed(last_id: str, first: str, tail: str) -> bool:
    """True unless `last_id` lies within the stream, or both are at the very beginning."""
    place = _parsed(last_id)
    return place is None or not (_parsed(first) or (0, 0)) <= place <= (_parsed(tail) or (0, 0))


def _parsed(entry_id: str) -> tuple[int, int] | None:
    """None for what is no entry id (it comes from a browser)."""
    match = re.fullmatch(r"([0-9]{1,19})-([0-9]{1,19})", entry_id)
    return (int(match[1]), int(match[2])) if match else None
