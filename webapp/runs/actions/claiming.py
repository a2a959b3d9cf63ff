"""A free slot claims the best queued run. Postgres decides, in THE order (the view `queue_places`).

Order is exact because claims, reordering and reservations take one advisory lock each (a claim holds it for 1-2 ms):
what a claim sees is what the previous one left. A row that somebody is just changing is skipped, not waited for.

A run that needs more slots than are free here is stepped over, so that slots don't idle. When it has waited for
`PATIENCE` it reserves the first worker that is large enough: that worker then hands out nothing behind it in the order
until it fits. It can still be claimed elsewhere; the reservation ends when its worker drains, stops or falls silent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from webapp.runs import queries
from webapp.runs.actions.transitions import announce
from webapp.runs.models import Attempt, Run, Worker
from webapp.runs.states import Status

PATIENCE = timedelta(minutes=10)
ORDER_LOCK = 0x486F6E65  # pg_advisory_xact_lock's key for the order of the queues

BEST = """
SELECT runs.id, runs.gpus <= %(free)s AS fits
FROM runs
JOIN queue_places AS place ON place.run_id = runs.id
JOIN queues ON queues.name = runs.queue
LEFT JOIN workers AS reserved ON reserved.id = runs.reserved_for_id
WHERE runs.status = 'queued' AND runs.deleted_at IS NULL
  AND runs.queue = ANY(%(queues)s) AND NOT queues.paused
  AND runs.gpus <= %(slots)s
  AND (runs.gpus <= %(free)s OR (
    runs.queued_at < now() - %(patience)s
    AND (reserved.id IS NULL OR reserved.id = %(worker)s OR reserved.draining OR reserved.stopped_at IS NOT NULL)
  ))
  AND NOT EXISTS (
    SELECT FROM run_inputs AS input JOIN runs AS source ON source.id = input.source_id
    WHERE input.run_id = runs.id
      AND source.status NOT IN ('succeeded', 'failed', 'cancelled', 'out_of_memory', 'diverged', 'lost')
  )
ORDER BY runs.priority DESC, runs.rank ASC NULLS LAST, place.turn, runs.id
LIMIT 1
FOR NO KEY UPDATE OF runs SKIP LOCKED
"""


@transaction.atomic
def claim(worker: Worker, queues: Collection[str], devices_free: Sequence[Any]) -> Attempt | None:
    """The new attempt at the best run that fits into the free slots, or None. `devices_free` has one entry a slot."""
    lock_order()
    living = Worker.objects.filter(pk=worker.pk, draining=False, stopped_at=None).first()
    if living is None or not devices_free:
        return None
    best = _best(living, queues, len(devices_free))
    if best is None:
        return None
    run_id, fits = best
    if not fits:
        Run.objects.filter(pk=run_id, status=Status.QUEUED).update(reserved_for=living)
        return None
    return _attempt(living, run_id, devices_free)


def lock_order() -> None:
    """Until the end of the transaction nobody else claims or reorders."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ORDER_LOCK])


def _best(worker: Worker, queues: Collection[str], free: int) -> tuple[int, bool] | None:
    values: dict[str, Any] = {
        "queues": list(queues), "free": free, "slots": max(worker.slots, free),
        "worker": worker.pk, "patience": PATIENCE,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(BEST, values)
        row = cursor.fetchone()
    return (row[0], row[1]) if row else None


def _attempt(worker: Worker, run_id: int, devices_free: Sequence[Any]) -> Attempt | None:
    claimed = Run.objects.filter(pk=run_id, status=Status.QUEUED, deleted_at=None).update(
        status=Status.STARTING, reserved_for=None, phase=""
    )
    if not claimed:
        return None
    run = Run.objects.select_related("project").get(pk=run_id)
    point = queries.resume_point(run)
    attempt = Attempt.objects.create(
        run=run,
        number=run.attempts.count() + 1,
        worker=worker,
        worker_name=worker.name,
        devices=list(devices_free[: run.gpus]),
        resumed_from_step=point[1] if point else None,
        last_step=point[1] if point else 0,
    )
    Run.objects.filter(pk=run_id, started_at=None).update(started_at=Now())
    attempt.refresh_from_db()
    announce(run)
    return attempt
