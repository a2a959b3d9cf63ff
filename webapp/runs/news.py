"""What happens to a run, told to open pages through Redis Streams: `hone:news:<run id>`, `hone:news:all` for tables.

A stream keeps about 5,000 entries for a day. It is a wire, not a record: everything in it can be read again from
Postgres, so a reader that may have missed something is told `reset` and reads again. Readers get `hello`, `reset` and
`ping` from `follow` itself; the other types are what `publish` was given.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import redis
from django.conf import settings
from django.db import transaction
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from webapp.runs import listening, plain
from webapp.runs.listening import News

__all__ = ["News", "follow", "key_of", "publish", "publish_on_commit"]

Key = int | Literal["all"]

LONGEST = 5000
LIFE_S = 86_400
PATIENCE_S = 1.0
PAUSE_AFTER_FAILURE_S = 2.0  # what an action may lose to a Redis that swallows packets: 1 s in every 3
logger = logging.getLogger(__name__)


def key_of(run_id: Key) -> str:
    return f"hone:news:{run_id}"


class _Entry(NamedTuple):
    run_id: Key
    kind: str
    data: dict[str, Any]


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

    def publish(self, entries: Sequence[_Entry]) -> None:
        runs = {entry.run_id for entry in entries}
        if time.monotonic() < self.silent_until:
            self.missed |= runs
            return
        try:
            self._send(entries)
            self.missed -= runs
        except (RedisError, OSError) as error:
            logger.warning("News of run %s are lost, Redis is away: %s", ", ".join(map(str, runs)), error)
            self.missed |= runs
            self.silent_until = time.monotonic() + PAUSE_AFTER_FAILURE_S

    def tail(self, run_id: Key) -> str | None:
        if time.monotonic() < self.silent_until:
            return None
        try:
            last: Any = self.client.xrevrange(key_of(run_id), count=1)
        except (RedisError, OSError):
            self.silent_until = time.monotonic() + PAUSE_AFTER_FAILURE_S
            return None
        return last[0][0].decode() if last else listening.START

    def _send(self, entries: Sequence[_Entry]) -> None:
        keys = {entry.run_id: key_of(entry.run_id) for entry in entries}
        with self.client.pipeline(transaction=False) as pipe:
            for run_id in self.missed & keys.keys():
                pipe.xadd(keys[run_id], {"type": "reset", "data": "{}"}, maxlen=LONGEST, approximate=True)
            for run_id, kind, data in entries:
                pipe.xadd(keys[run_id], {"type": kind, "data": _text(data)}, maxlen=LONGEST, approximate=True)
            for key in keys.values():
                pipe.expire(key, LIFE_S)
            pipe.execute()


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
    _publisher().publish([_Entry(run_id, kind, data)])


class _OnCommit:
    """News of one transaction, or of one savepoint, which travel together."""

    def __init__(self, entry: _Entry) -> None:
        self.entries = [entry]

    def __call__(self) -> None:
        _publisher().publish(self.entries)


def publish_on_commit(run_id: Key, kind: str, data: dict[str, Any]) -> None:
    """Publishes once the surrounding transaction is committed, so that whoever reads again finds the new state."""
    entry = _Entry(run_id, kind, data)
    connection = transaction.get_connection()
    waiting = connection.run_on_commit[-1:]
    if waiting and isinstance(waiting[0][1], _OnCommit) and waiting[0][0] == set(connection.savepoint_ids):
        waiting[0][1].entries.append(entry)
    else:
        transaction.on_commit(_OnCommit(entry))


def follow(run_id: Key, last_id: str | None = None) -> AsyncIterator[list[News]]:
    """Yields what has come since the item before, for ever. Closing the generator leaves nothing of it behind.

    Without `last_id` it starts at the tail with `hello`. `reset` comes when something may have been missed: an id older
    than what the stream still holds, a wiped or restarted Redis, a publisher that could not reach it, a follower that
    does not keep up. `ping` comes after 15 s of silence. The id of every item is the one to come back with.
    """
    return listening.follow(key_of(run_id), last_id)


def _text(data: dict[str, Any]) -> str:
    """JSON of plain values. Nearly all are plain already, and walking through them would cost more than the rest."""
    try:
        text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError):
        text = ""
    if not text or "\\u0000" in text or "\\ud" in text:
        return json.dumps(plain.json(data), separators=(",", ":"))
    return text
