"""Streams of Redis told to many followers: one reader and one connection an event loop, whatever they follow.

An entry is read once, its JSON is never taken apart, and the event that travels to a browser is made once for all
followers. The reader blocks in one XREAD over all followed streams; a stream that is silent costs it nothing but its
name in there. When somebody comes, that read is given up, with its connection, and its place is looked up first.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

PING_S = 15.0
PATIENCE_S = 1.0
RECONNECT_S = 0.5
GATHER_S = 0.02  # between two reads: what comes in the same moment travels together
MOST_WAITING = 256  # entries that a follower may be behind; one that is slower reads again
START = "0-0"
END = "18446744073709551615-18446744073709551615"  # the greatest id that Redis knows
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class News:
    """What is told: an entry's id, type and JSON."""

    id: str
    kind: str
    json: bytes = b"{}"

    @cached_property
    def event(self) -> bytes:
        """As text/event-stream (HTML standard, section 9.2). A ping is a comment, which only proxies look at."""
        if self.kind == "ping":
            return b": ping\n\n"
        return b"id: %s\nevent: %s\ndata: %s\n\n" % (self.id.encode(), self.kind.encode(), self.json)


async def follow(key: str, last_id: str | None) -> AsyncIterator[list[News]]:
    """See news.follow. Ends only if the reader has failed by a fault of its own."""
    follower = _Follower(key, last_id)
    hub = _hub()
    hub.join(follower)
    try:
        while told := await follower.next():
            yield told
    finally:
        hub.leave(follower)


class _Follower:
    """What one viewer has not taken yet. Entry ids are Redis's: milliseconds and a count, always rising."""

    def __init__(self, key: str, last_id: str | None) -> None:
        self.key = key
        self.last_id = last_id or START
        self.greeting = "catch up" if last_id else "hello"
        self._after: tuple[int, int] | None = None  # what it was greeted with may be ahead of the reader
        self._waiting: list[News] = []
        self._arrived = asyncio.Event()

    @property
    def wanted(self) -> str:
        """The id after which it wants to know what has come: a newcomer wants none of it, however long the stream."""
        if self.greeting != "catch up":
            return END
        return self.last_id if _parsed(self.last_id) else START

    async def next(self) -> list[News]:
        """What has come since the last call, or after 15 s without anything a ping. Nothing once it has ended."""
        try:
            async with asyncio.timeout(PING_S):
                await self._arrived.wait()
        except TimeoutError:
            return [News(self.last_id, "ping")]
        self._arrived.clear()
        told, self._waiting = self._waiting, []
        if told:
            self.last_id = told[-1].id
        return told

    def greet(self, first: str, tail: str, missed: list[News]) -> None:
        """With the ends of its stream, and the entries after its `last_id`."""
        if self.greeting == "catch up" and not _may_have_missed(self.last_id, first, tail):
            self._after = _parsed(tail)
            if missed:
                self._put(missed)
            return
        self.begin("hello" if self.greeting == "hello" else "reset", tail)

    def begin(self, kind: str, place: str) -> None:
        """It reads everything anew, and is told what comes after `place`."""
        self._after = _parsed(place)
        self._put([News(place, kind)], [])

    def tell(self, news: list[News]) -> None:
        if self._after is not None:
            after, self._after = self._after, None
            news = [each for each in news if (_parsed(each.id) or after) > after]
        if len(self._waiting) + len(news) > MOST_WAITING:
            self._put([News(news[-1].id, "reset")], [])
        elif news:
            self._put(news)

    def end(self) -> None:
        self._arrived.set()

    def _put(self, news: list[News], waiting: list[News] | None = None) -> None:
        self._waiting = [*(self._waiting if waiting is None else waiting), *news]
        self._arrived.set()


class _Stream:
    """A followed stream and the last entry that the reader has seen of it."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.followers: set[_Follower] = set()

    def tell(self, news: list[News]) -> None:
        self.place = news[-1].id
        for follower in self.followers:
            follower.tell(news)

    def reset(self, tail: str) -> None:
        self.place = tail
        for follower in self.followers:
            follower.begin("reset", tail)


class _Hub:
    """The reader of one event loop; it lives as long as somebody follows."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._streams: dict[str, _Stream] = {}
        self._joining: list[_Follower] = []
        self._change = loop.create_future()  # somebody has come, or the last one has gone
        self._client = _client()
        self._task = loop.create_task(self._run())

    @property
    def is_over(self) -> bool:
        return self._task.done()

    def join(self, follower: _Follower) -> None:
        self._joining.append(follower)
        self._changed()

    def leave(self, follower: _Follower) -> None:
        if follower in self._joining:
            self._joining.remove(follower)
        stream = self._streams.get(follower.key)
        if stream:
            stream.followers.discard(follower)
            if not stream.followers:
                del self._streams[follower.key]
        if not self._joining and not self._streams:
            if _hubs.get(self._loop) is self:
                del _hubs[self._loop]
            self._changed()

    def _changed(self) -> None:
        if not self._change.done():
            self._change.set_result(None)

    async def _run(self) -> None:
        try:
            while self._joining or self._streams:
                try:
                    await (self._greet() if self._joining else self._listen())
                except (RedisError, OSError) as error:
                    logger.debug("Following %d streams: %s", len(self._streams), error)
                    await self._begin_again()
        finally:
            for follower in [*self._joining, *self._followers()]:
                follower.end()
            await _close(self._client)

    async def _greet(self) -> None:
        """Looks up where the newcomers begin, for each in one moment."""
        joining = list(self._joining)
        async with self._client.pipeline(transaction=True) as pipe:
            for follower in joining:
                pipe.xrange(follower.key, count=1)
                pipe.xrevrange(follower.key, count=1)
                pipe.xread({follower.key: follower.wanted})
            found: Any = await pipe.execute()
        for follower, first, last, missed in zip(joining, found[::3], found[1::3], found[2::3], strict=True):
            if follower in self._joining:  # it may have gone meanwhile
                self._joining.remove(follower)
                tail = last[0][0].decode() if last else START
                self._streams.setdefault(follower.key, _Stream(tail)).followers.add(follower)
                follower.greet(first[0][0].decode() if first else START, tail, _news(missed[0][1]) if missed else [])

    async def _listen(self) -> None:
        """Waits for news of any stream, and tells them."""
        self._change = self._loop.create_future()
        places: Any = {key: stream.place for key, stream in self._streams.items()}
        answer = await self._unless_changed(self._client.xread(places, block=int(PING_S * 1000)))
        if answer is None:
            return
        entries = {key.decode(): found for key, found in answer}
        lost = await self._lost(entries or places)
        for key, found in entries.items():
            if key in self._streams and key not in lost:
                self._streams[key].tell(_news(found))
        for key in lost:
            await self._reset(key)
        if entries:
            await asyncio.sleep(GATHER_S)

    async def _lost(self, keys: Iterable[str]) -> set[str]:
        """The streams that hold our place no more: a wipe breaks no connection, and shows in nothing else."""
        held = [(key, stream.place) for key in keys if (stream := self._streams.get(key)) and stream.place != START]
        async with self._client.pipeline(transaction=False) as pipe:
            for key, place in held:
                pipe.xrange(key, place, place)
            found = await pipe.execute()
        return {key for (key, _), entries in zip(held, found, strict=True) if not entries}

    async def _reset(self, key: str) -> None:
        last: Any = await self._client.xrevrange(key, count=1)
        if key in self._streams:
            self._streams[key].reset(last[0][0].decode() if last else START)

    async def _unless_changed(self, work: Awaitable[Any]) -> Any:
        """What work gives, or None when it was given up for a change.

        Its connection is then given up too. Before Python 3.12 asyncio.wait_for, with which redis-py writes, loses a
        cancellation that meets the end of the write: work that is left behind so ends with its connection.
        """
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait([working, self._change], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not working.done():
                working.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody hears of it
                working.cancel()
        if working.done():
            return working.result()
        await self._renew_client()
        return None

    async def _begin_again(self) -> None:
        """Everybody is looked up anew; whatever was published meanwhile is unknown, hence `reset`."""
        self._joining += self._followers()
        self._streams.clear()
        for follower in self._joining:
            follower.greeting = "reset"
        await self._renew_client()
        await asyncio.sleep(RECONNECT_S)

    def _followers(self) -> list[_Follower]:
        return [follower for stream in self._streams.values() for follower in stream.followers]

    async def _renew_client(self) -> None:
        before, self._client = self._client, _client()
        await _close(before)


_hubs: dict[asyncio.AbstractEventLoop, _Hub] = {}


def _hub() -> _Hub:
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None or hub.is_over:
        hub = _hubs[loop] = _Hub(loop)
    return hub


def _client() -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL,
        protocol=2,
        socket_connect_timeout=PATIENCE_S,
        socket_timeout=PING_S + 5,  # a dead peer is noticed; must outlast the blocking read
        retry=Retry(NoBackoff(), 0),
    )


async def _close(client: redis.asyncio.Redis) -> None:
    with suppress(RedisError, OSError):
        await client.aclose()


def _news(entries: Any) -> list[News]:
    return [News(entry_id.decode(), fields[b"type"].decode(), fields[b"data"]) for entry_id, fields in entries]


def _may_have_missed(last_id: str, first: str, tail: str) -> bool:
    """True unless `last_id` lies within the stream, or both are at the very beginning."""
    place = _parsed(last_id)
    return place is None or not (_parsed(first) or (0, 0)) <= place <= (_parsed(tail) or (0, 0))


def _parsed(entry_id: str) -> tuple[int, int] | None:
    """None for what is no entry id (it comes from a browser)."""
    match = re.fullmatch(r"([0-9]{1,19})-([0-9]{1,19})", entry_id)
    return (int(match[1]), int(match[2])) if match else None
