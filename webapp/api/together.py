"""Requests that bring points, stored together: one transaction for all that have come while the last one ran."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import NamedTuple

from django.db import connection

from webapp.accounts.models import Role
from webapp.accounts.queries import user_of_token
from webapp.accounts.roles import suffices
from webapp.api.points import PointsBody
from webapp.metrics import actions, keys
from webapp.metrics.actions import Batch
from webapp.runs.actions.outside import takes_points
from webapp.runs.feeding import fed_all
from webapp.runs.models import Run

LARGEST_UNPACKED = 1 << 20  # bytes: what takes longer to read must not hold up the others
Stored = int | None  # how many points, or None: to be answered by who can say why not
logger = logging.getLogger(__name__)


class Order(NamedTuple):
    """Points for a run. `headers` by their names in lower case, Idempotency-Key among them."""

    run_id: int
    token: str
    headers: Mapping[str, str]
    body: bytes = b""


def store(orders: Sequence[Order]) -> list[Stored]:
    """Of different runs. Those that are in order are stored in one transaction; if it fails, each by itself."""
    batches = _batches(orders)
    stored = dict(zip(batches, _written(list(batches.values())), strict=True))
    return [stored.get(order.run_id) for order in orders]


def _batches(orders: Sequence[Order]) -> dict[int, Batch]:
    """By run, of the orders that may be stored and can be read."""
    by_token = defaultdict(list)
    for order in orders:
        by_token[order.token].append(order)
    found = {}
    for token, of_person in by_token.items():
        user = user_of_token(token)
        runs = fed_all(user, [order.run_id for order in of_person]) if user else {}
        for order in of_person:
            run, role = runs.get(order.run_id, (None, None))
            if run and suffices(role, Role.EDITOR) and takes_points(run) and (batch := _batch(run, order)):
                found[order.run_id] = batch
    return found


def _batch(run: Run, order: Order) -> Batch | None:
    key = order.headers["idempotency-key"]
    try:
        keys.check(key)
        body = PointsBody.of(order.headers, order.body, LARGEST_UNPACKED)
        return Batch(run, body.columns(), key, body.digest)
    except Exception:  # Django's answer will name the fault
        return None


def _written(batches: list[Batch]) -> list[Stored]:
    if not batches:
        return []
    try:
        return [*actions.write(batches)]
    except Exception:  # as above
        return [None] if len(batches) == 1 else [stored for batch in batches for stored in _written([batch])]


class _Queue:
    """What waits, and the thread that stores it, which holds a connection only while it does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Order, Future[Stored]]] = []
        self._is_busy = False

    def put(self, order: Order) -> Future[Stored]:
        answer: Future[Stored] = Future()
        answer.set_running_or_notify_cancel()  # nobody can cancel it any more
        with self._lock:
            self._waiting.append((order, answer))
            is_idle, self._is_busy = not self._is_busy, True
        if is_idle:
            self._thread.submit(self._work)
        return answer

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "hone-points")

    def _work(self) -> None:
        while taken := self._take():
            for (_, answer), stored in zip(taken, _stored([order for order, _ in taken]), strict=True):
                answer.set_result(stored)

    def _take(self) -> list[tuple[Order, Future[Stored]]]:
        """The first that waits of each run: those of one run are stored one after the other, as they came."""
        with self._lock:
            first: dict[int, tuple[Order, Future[Stored]]] = {}
            for waiting in self._waiting:
                first.setdefault(waiting[0].run_id, waiting)
            self._waiting = [waiting for waiting in self._waiting if first[waiting[0].run_id] is not waiting]
            self._is_busy = bool(first)
            return list(first.values())


def _stored(orders: Sequence[Order]) -> list[Stored]:
    try:
        return store(orders)
    except Exception:  # the database is away, say
        logger.exception("The points of %d requests could not be stored together", len(orders))
        return [None] * len(orders)
    finally:
        connection.close()


_queue = _Queue()  # of this process
put = _queue.put
