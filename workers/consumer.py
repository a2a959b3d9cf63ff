"""Celery's consumer, as quick as tickets need it: back with the broker within a second, awake when a slot is free."""

from __future__ import annotations

import logging
from typing import Any

from celery.concurrency import thread
from celery.worker import consumer
from celery.worker.state import maybe_shutdown

RETRY_S = 1.0
logger = logging.getLogger(__name__)
_hub: Any = None  # the event loop of this process' consumer; it outlives reconnections


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Looks for a broker that is away once a second, for ever; Celery's own waits grow to 30 s."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        global _hub  # the pool knows no consumer
        super().__init__(*args, **kwargs)
        _hub = self.hub

    def ensure_connected(self, conn: Any) -> Any:
        """The connection, once there is one."""
        connected = conn.ensure_connection(self._tell_away, None, RETRY_S, 0, RETRY_S, callback=maybe_shutdown)
        self.first_connection_attempt = False
        self.broker_connection_retry_attempt = 0
        return connected

    def _tell_away(self, error: Exception, interval_s: float) -> None:
        if not self.broker_connection_retry_attempt:
            logger.warning("Redis is away, trying again every second: %s", error)
        self.broker_connection_retry_attempt += 1


class Pool(thread.TaskPool):  # type: ignore[misc]
    """Wakes the consumer when a task is done: kombu would look for a ticket only at its next timer, in a second."""

    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        result = super().on_apply(*args, **kwargs)
        result.f.add_done_callback(_look_again)
        return result


def _look_again(_: Any) -> None:
    if _hub is not None:
        _hub.call_soon(lambda: None)
