"""Tickets wake workers: "there is work on queue Q". They carry no run id, because Postgres decides who gets what."""

from __future__ import annotations

import logging
from functools import cache, partial

from celery import Celery
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

TASK = "hone.work"
PATIENCE_S = 1.0
logger = logging.getLogger(__name__)


@cache
def _sender() -> Celery:
    """A producer only. One connection attempt of at most a second: without limits kombu would retry for ever."""
    app = Celery("hone-tickets", broker=settings.CELERY_BROKER_URL, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        broker_connection_timeout=PATIENCE_S,
        broker_transport_options={
            "socket_connect_timeout": PATIENCE_S,
            "socket_timeout": PATIENCE_S,
            "max_retries": 0,
            "interval_start": 0,
            "interval_step": 0,
        },
    )
    return app


def celery_queue(name: str) -> str:
    """The Celery queue that carries the tickets of a queue of runs."""
    return f"queue:{name}"


def send(queue: str, count: int = 1) -> bool:
    """Sends tickets; False when the broker is away, which is logged and repaired by the dispatcher's tick."""
    try:
        for _ in range(count):
            _sender().send_task(TASK, queue=celery_queue(queue), retry=False, ignore_result=True)
    except (OperationalError, RedisError, OSError) as error:
        logger.warning("No ticket for queue %s, the broker is away: %s", queue, error)
        return False
    return True


def send_on_commit(queue: str, count: int = 1) -> None:
    """Sends once the surrounding transaction is committed, so that whoever wakes up finds the run."""
    transaction.on_commit(partial(send, queue, count))
