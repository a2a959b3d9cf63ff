"""A worker process at work: it registers, holds the forkserver, heartbeats, ticks and takes tickets."""

from __future__ import annotations

import logging
import os
import socket
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from celery.platforms import SecurityWarning
from celery.signals import setup_logging, worker_shutting_down
from django.db import DatabaseError, connection

from webapp.runs import actions
from webapp.runs.models import Worker
from webapp.runs.tickets import celery_queue
from webapp.system.errors import SetupError
from workers import adoption, devices, forkserver, tasks
from workers.app import app
from workers.database import AWAY
from workers.devices import Device
from workers.dispatch import Ticker
from workers.heartbeat import Heartbeat
from workers.listener import Listener
from workers.main import Options
from workers.slots import Slots
from workers.sweeper import Sweeper

logger = logging.getLogger(__name__)


def serve(options: Options) -> int:
    """Returns the exit status once it was stopped. Raises SetupError when it can't begin."""
    found = devices.slots(options.slots)
    forkserver.warm_up()
    with ThreadPoolExecutor(len(found) + 1, "archive") as pool:
        adoption.adopt_all(pool)
        worker = _register(options, found)
        slots = Slots(worker, found, pool)
        logger.info("Worker %s has %d slots for the queues %s", worker.name, len(found), ", ".join(options.queues))
        try:
            with _alive(slots):
                try:
                    return _take_tickets(options, slots)
                finally:
                    slots.join()
        finally:
            _unregister(worker)


def _take_tickets(options: Options, slots: Slots) -> int:
    """Celery's worker, until a signal stops it and the last run has ended. 0 when it was a signal."""
    tasks.serve(slots)
    stopping = threading.Event()
    threading.Thread(target=_shut_down_when, args=(stopping, slots), name="shutdown", daemon=True).start()
    worker_shutting_down.connect(lambda **_: stopping.set(), weak=False)
    setup_logging.connect(_leave_logging_alone, weak=False)
    warnings.filterwarnings("ignore", category=SecurityWarning)  # as root: Celery fears pickle, which is not accepted
    consumer = app.Worker(
        hostname=f"{slots.worker.name}@{socket.gethostname()}",
        pool="workers.consumer:Pool",
        concurrency=slots.worker.slots,
        queues=[celery_queue(queue) for queue in options.queues],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    consumer.start()
    return 0 if stopping.is_set() else int(consumer.exitcode or 1)


def _shut_down_when(stopping: threading.Event, slots: Slots) -> None:
    """In a thread of its own: Celery tells of the signal in the handler, where no lock may be waited for."""
    stopping.wait()
    slots.shut_down()


def _leave_logging_alone(**_: Any) -> None:
    """Django's LOGGING holds; a line for every ticket helps nobody."""
    for name in ("celery.app.trace", "celery.worker.strategy", "kombu"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def _alive(slots: Slots) -> Iterator[None]:
    """Heartbeats, ticks, sweeps and open ears, until the last run has ended."""
    over = threading.Event()
    heartbeat, ticker, sweeper = Heartbeat(slots, over), Ticker(over), Sweeper(over)
    slots.on_end = sweeper.wake
    for thread in (heartbeat, ticker, sweeper, Listener(slots, heartbeat, over)):
        thread.start()
    try:
        yield
    finally:
        over.set()
        heartbeat.beat_now()
        sweeper.wake()
        for thread in (heartbeat, ticker, sweeper):
            thread.join(5)


def _register(options: Options, found: Sequence[Device]) -> Worker:
    try:
        return actions.register_worker(
            name=options.name,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            slots=len(found),
            queues=options.queues,
            devices=[asdict(device) for device in found],
            versions=devices.versions(),
        )
    except DatabaseError as error:
        reason = str(error).strip().partition("\n")[0]
        raise SetupError(f"This worker can't register in the database: {reason}") from None


def _unregister(worker: Worker) -> None:
    try:
        actions.unregister_worker(worker)
    except AWAY:
        logger.warning("PostgreSQL is away; it will find worker %s gone by its silence", worker.name)
    finally:
        connection.close()
