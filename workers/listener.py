"""Hears at once that a run of this worker was asked to stop; the heartbeat alone would tell within seconds."""

from __future__ import annotations

import json
import threading
from typing import Any

import redis
from django.conf import settings as django_settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from webapp.runs import news
from webapp.runs.states import Status
from workers.heartbeat import Heartbeat
from workers.slots import Slots

BLOCK_S = 2
GOES_ON = (Status.STARTING, Status.RUNNING)


class Listener(threading.Thread):
    """Reads the news of all runs until `over` is set. What it misses while Redis is away, the heartbeat finds."""

    def __init__(self, slots: Slots, heartbeat: Heartbeat, over: threading.Event) -> None:
        super().__init__(name="listener", daemon=True)
        self._slots, self._heartbeat, self._over = slots, heartbeat, over
        self._client = redis.Redis.from_url(
            django_settings.REDIS_URL, socket_timeout=BLOCK_S + 3, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )

    def run(self) -> None:
        last = "$"
        while not self._over.is_set():
            try:
                last = self._listen(last)
            except redis.RedisError:
                last = "$"
                self._over.wait(1)

    def _listen(self, last: str) -> str:
        """The id after which to listen next."""
        answer: Any = self._client.xread({news.key_of("all"): last}, block=BLOCK_S * 1000)
        entries = answer[0][1] if answer else []
        if any(self._concerns_us(fields) for _, fields in entries):
            self._heartbeat.beat_now()
        return entries[-1][0].decode() if entries else last

    def _concerns_us(self, fields: dict[bytes, bytes]) -> bool:
        if fields[b"type"] != b"state":
            return False
        told = json.loads(fields[b"data"])
        ours = {supervisor.attempt.run_id for supervisor in list(self._slots.supervisors.values())}
        return told["run"] in ours and told["status"] not in GOES_ON
