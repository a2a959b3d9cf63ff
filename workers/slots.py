"""The slots of this worker: which are free, and who supervises what runs on the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from uuid import UUID

from django.db import connection

from webapp.runs import actions
from webapp.runs.models import Attempt, Worker
from workers import devices
from workers.database import AWAY
from workers.devices import Device
from workers.supervisor import Supervisor

logger = logging.getLogger(__name__)


class Slots:
    """One device a slot. `work` is called by as many threads as there are slots.

    A slot is free as soon as its process is gone: while the last points and the model are still being written, the next
    run begins. As many attempts as there are slots may be at that.
    """

    def __init__(self, worker: Worker, found: Sequence[Device], pool: ThreadPoolExecutor) -> None:
        """`pool` stores files for all attempts. `on_end` is called whenever an attempt is over."""
        self.worker = worker
        self.on_end: Callable[[], None] = lambda: None
        self.supervisors: dict[UUID, Supervisor] = {}
        self._devices, self._pool = list(found), pool
        self._threads = ThreadPoolExecutor(2 * len(found), "supervisor")
        self._free = list(range(len(found)))
        self._changed = threading.Condition()
        self._stopping = False

    def work(self) -> None:
        """Runs the best queued runs, one after the other, until none is left."""
        while supervisor := self._claim():
            self._threads.submit(self._supervise, supervisor)
            supervisor.slot_is_free.wait()
            with self._changed:
                self._free = sorted({*self._free, *_slots_of(supervisor.attempt)})

    def shut_down(self) -> None:
        """Takes nothing new; what runs writes a checkpoint, ends and waits in its queue."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for supervisor in list(self.supervisors.values()):
            supervisor.shut_down()

    def join(self) -> None:
        """Until every attempt is over."""
        self._threads.shutdown()

    def _supervise(self, supervisor: Supervisor) -> None:
        try:
            supervisor.run()
        finally:
            supervisor.slot_is_free.set()
            with self._changed:
                del self.supervisors[supervisor.attempt.pk]
                self._changed.notify_all()
            self.on_end()

    def _claim(self) -> Supervisor | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or len(self.supervisors) < 2 * len(self._devices))
            if self._stopping or not self._free:
                return None
            try:
                attempt = actions.claim(self.worker, self.worker.queues, [self._described(slot) for slot in self._free])
            except AWAY as error:
                logger.warning("No run was claimed, PostgreSQL is away: %s", str(error).strip().partition("\n")[0])
                connection.close()
                return None
            return self._occupy(attempt) if attempt else None

    def _occupy(self, attempt: Attempt) -> Supervisor:
        taken = _slots_of(attempt)
        self._free = [slot for slot in self._free if slot not in taken]
        environment = devices.environment([self._devices[slot] for slot in taken], len(self._devices))
        supervisor = Supervisor(attempt, environment, self._pool)
        self.supervisors[attempt.pk] = supervisor
        logger.info("Run %s, attempt %s, on slots %s", attempt.run_id, attempt.number, taken)
        return supervisor

    def _described(self, slot: int) -> dict[str, object]:
        return {"slot": slot, **asdict(self._devices[slot])}


def _slots_of(attempt: Attempt) -> list[int]:
    return [device["slot"] for device in attempt.devices]
