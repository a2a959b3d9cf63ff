"""The tick: finds what fell silent, and sends tickets for runs that wait beside a free slot.

Every worker ticks, and so does the scheduler: whichever lives repairs what a wiped broker or a lost ticket broke.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter

import redis
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Sum
from redis.backoff import NoBackoff
from redis.retry import Retry

from webapp.runs import actions, tickets
from webapp.runs.models import Attempt, Run
from webapp.runs.queries import living_workers
from webapp.runs.states import FINAL, Status
from workers.database import AWAY

TICK_S = 3.0
TICK_LOCK = 0x5469636B  # pg_try_advisory_xact_lock's key: one ticker counts tickets at a time
logger = logging.getLogger(__name__)


def tick() -> None:
    """Raises OperationalError and InterfaceError when Postgres is away, RedisError when Redis is."""
    for run in actions.reap(settings.SILENT_S, external_silent_s=settings.EXTERNAL_SILENT_S):
        logger.warning("Run %s fell silent; it is %s now", run.id, run.status)
    for queue, count in _wanted().items():
        waiting = _redis().llen(tickets.celery_queue(queue))
        if count > waiting:
            tickets.send(queue, count - waiting)


class Ticker(threading.Thread):
    """Ticks until `over` is set, at first at once."""

    def __init__(self, over: threading.Event) -> None:
        super().__init__(name="tick", daemon=True)
        self._over = over

    def run(self) -> None:
        while True:
            calmly_tick()
            if self._over.wait(TICK_S):
                break
        connection.close()


def calmly_tick() -> None:
    """A tick that bears servers that are away: the next one finds them again."""
    try:
        tick()
    except AWAY:
        connection.close()
    except redis.RedisError as error:
        logger.warning("No tickets, Redis is away: %s", error)


@transaction.atomic
def _wanted() -> Counter[str]:
    """Tickets by queue: as many as could start a run just now. Empty while another ticker counts."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [TICK_LOCK])
        if not cursor.fetchone()[0]:
            return Counter()
    queued = _queued()
    return queued & _free_slots() if queued else queued


def _queued() -> Counter[str]:
    """Runs that could be claimed, by queue."""
    runs = Run.objects.filter(status=Status.QUEUED, deleted_at=None, queue__paused=False)
    blocked = Run.objects.filter(inputs__source__isnull=False).exclude(inputs__source__status__in=FINAL)
    counts = runs.exclude(pk__in=blocked.values("pk")).values_list("queue_id").annotate(Count("pk"))
    return Counter(dict(counts))


def _free_slots() -> Counter[str]:
    """Free slots of living workers by queue; one that serves several queues counts for each."""
    used = dict(Attempt.objects.filter(ended_at=None).values_list("worker").annotate(Sum("run__gpus")))
    free: Counter[str] = Counter()
    for worker in living_workers().filter(draining=False):
        for queue in worker.queues:
            free[queue] += max(0, worker.slots - used.get(worker.pk, 0))
    return free


def _redis() -> redis.Redis:
    global _client
    if _client is None:
        patience = {"socket_timeout": 2, "socket_connect_timeout": 2, "retry": Retry(NoBackoff(), 1)}
        _client = redis.Redis.from_url(settings.REDIS_URL, **patience)
    return _client


_client: redis.Redis | None = None
