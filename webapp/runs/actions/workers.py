"""Workers come, report that they live, drain and go."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import count
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from webapp.runs import news, tickets
from webapp.runs.actions.losing import lose
from webapp.runs.models import Attempt, Queue, Run, Worker
from webapp.runs.queries import living_workers
from webapp.runs.states import Status

NAMES_LOCK = 0x486F6E66  # pg_advisory_xact_lock's key for the names of workers


@transaction.atomic
def register_worker(
    *,
    name: str,
    hostname: str,
    pid: int,
    slots: int,
    queues: Iterable[str],
    devices: list[Any] | None = None,
    versions: dict[str, str] | None = None,
) -> Worker:
    """A new row. A living worker of the same name keeps it and this one becomes `name-2`; a dead one's row is replaced
    and the attempts that it still held are lost at once."""
    _lock_names()
    served = list(queues)
    Queue.objects.bulk_create([Queue(name=queue) for queue in served], ignore_conflicts=True)
    free_name = _free_name(name)
    _replace_dead(free_name)
    worker = Worker(
        name=free_name,
        hostname=hostname,
        pid=pid,
        slots=slots,
        queues=served,
        devices=devices or [],
        versions=versions or {},
    )
    worker.save(force_insert=True)
    worker.refresh_from_db()
    _announce(worker)
    return worker


@transaction.atomic
def unregister_worker(worker: Worker) -> None:
    """It stopped by itself. Attempts that it still holds are lost at once."""
    Worker.objects.filter(pk=worker.pk).update(stopped_at=Now())
    _lose_attempts(Worker.objects.filter(pk=worker.pk).first())
    _announce(worker)


@transaction.atomic
def heartbeat(worker: Worker, attempt_ids: Collection[UUID]) -> dict[UUID, str]:
    """A sign of life of a worker and its attempts. Says of each attempt what its run is asked to do:

    "run", "stop" (write a checkpoint and stop) or "gone" (kill it and write nothing). A worker that was taken for dead
    is registered anew.
    """
    if not Worker.objects.filter(pk=worker.pk).update(heartbeat_at=Now(), stopped_at=None):
        _register_anew(worker)
    living = Attempt.objects.filter(pk__in=attempt_ids, ended_at=None)
    living.update(heartbeat_at=Now())
    asked = dict(living.filter(run__deleted_at=None).values_list("pk", "run__status"))
    return {attempt_id: _wanted(asked.get(attempt_id)) for attempt_id in attempt_ids}


def drain(worker: Worker) -> None:
    """It takes no new runs; what runs goes on."""
    _set_draining(worker, True)


def undrain(worker: Worker) -> None:
    """It takes runs again."""
    _set_draining(worker, False)


@transaction.atomic
def _set_draining(worker: Worker, draining: bool) -> None:
    Worker.objects.filter(pk=worker.pk).update(draining=draining)
    worker.refresh_from_db()
    if draining:
        Run.objects.filter(reserved_for=worker).update(reserved_for=None)
    else:
        for queue in worker.queues:
            tickets.send_on_commit(queue, worker.slots)
    _announce(worker)


def _wanted(status: str | None) -> str:
    if status in (Status.STARTING, Status.RUNNING):
        return "run"
    return "stop" if status in (Status.PAUSING, Status.CANCELLING) else "gone"


def _lock_names() -> None:
    """Until the end of the transaction nobody else takes a name."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [NAMES_LOCK])


def _free_name(name: str) -> str:
    alive = living_workers()
    taken = set(alive.values_list("name", flat=True))
    return next(candidate for n in count(1) if (candidate := name if n == 1 else f"{name}-{n}") not in taken)


def _replace_dead(name: str) -> None:
    dead = Worker.objects.filter(name=name).first()
    if dead is not None:
        _lose_attempts(dead)
        dead.delete()


def _lose_attempts(worker: Worker | None) -> None:
    for attempt in Attempt.objects.select_for_update(of=("self",)).filter(worker=worker, ended_at=None):
        lose(attempt)


def _register_anew(worker: Worker) -> None:
    fresh = register_worker(
        name=worker.name,
        hostname=worker.hostname,
        pid=worker.pid,
        slots=worker.slots,
        queues=worker.queues,
        devices=worker.devices,
        versions=worker.versions,
    )
    worker.pk, worker.name = fresh.pk, fresh.name


def _announce(worker: Worker) -> None:
    news.publish_on_commit("all", "worker", {"worker": worker.pk, "name": worker.name})
