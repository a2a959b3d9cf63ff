"""Deletes what nobody can reach any more: runs long deleted, bytes that nothing refers to, workers long gone.

Safe beside running stores: a blob goes only when it was neither stored nor found present for `BLOB_AGE`, its row is
deleted (and so locked) before its bytes, and a store that comes meanwhile waits for the row and writes the bytes again.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import NamedTuple

from django.core.files.storage import default_storage, storages
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from webapp.runs import blobs
from webapp.runs.models import Blob, Input, Run, Worker
from webapp.runs.states import FINAL
from webapp.runs.storage import BlobFiles, Stored, stored

BLOB_AGE = timedelta(days=1)  # longer than any upload of a checkpoint between its bytes and its artifact rows
BLOB_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}")

DELETE_UNUSED = """
DELETE FROM blobs
WHERE sha256 = %s AND touched_at < now() - make_interval(secs => %s)
  AND NOT EXISTS (SELECT FROM artifacts WHERE blob_id = sha256)
  AND NOT EXISTS (SELECT FROM uploads WHERE blob_id = sha256)
"""


class Collected(NamedTuple):
    """What went: numbers of rows, and bytes of the storage."""

    runs: int
    blobs: int
    bytes: int
    workers: int


def collect(older_than: timedelta = timedelta(days=7), blob_age: timedelta = BLOB_AGE) -> Collected:
    """One pass. Deleted runs go when they were deleted that long ago and no unfinished run starts from them."""
    runs = _collect_runs(older_than)
    _adopt_orphans(blob_age)
    number, size = _collect_blobs(blob_age)
    workers, _ = Worker.objects.filter(stopped_at__lt=Now() - older_than).delete()
    return Collected(runs, number, size, workers)


def _collect_runs(older_than: timedelta) -> int:
    unfinished = Q(run__deleted_at=None) & ~Q(run__status__in=FINAL)
    needed = Input.objects.filter(unfinished, source__isnull=False).values("source_id")
    doomed = Run.objects.filter(deleted_at__lt=Now() - older_than).exclude(pk__in=needed)
    ids = list(doomed.values_list("pk", flat=True))
    for run_id in ids:  # one transaction each: a run may have a million points
        Run.objects.filter(pk=run_id).delete()
    return len(ids)


def _collect_blobs(age: timedelta) -> tuple[int, int]:
    unused = Blob.objects.filter(touched_at__lt=Now() - age, artifacts=None, uploads=None)
    sizes = [blob.size for blob in list(unused) if _delete_blob(blob, age)]
    return len(sizes), sum(sizes)


def _delete_blob(blob: Blob, age: timedelta) -> bool:
    """False when somebody has come to use it."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(DELETE_UNUSED, [blob.sha256, age.total_seconds()])
                if not cursor.rowcount:
                    return False
            connection.check_constraints()  # foreign keys are checked late; here they must hold before bytes go
            default_storage.delete(blobs.name_of(blob.sha256))
    except IntegrityError:
        return False
    return True


def _adopt_orphans(age: timedelta) -> None:
    """Bytes without a row (a writer died in between) get one as old as themselves, and go the way of all blobs."""
    before = timezone.now() - age
    backend = storages["default"]
    if isinstance(backend, BlobFiles):
        backend.drop_stale_incoming(before)
    batch: list[Stored] = []
    for item in stored():
        if item.modified_at < before and BLOB_NAME.fullmatch(item.name):
            batch.append(item)
        if len(batch) == 1000:
            _adopt(batch)
            batch = []
    _adopt(batch)


def _adopt(items: list[Stored]) -> None:
    rows = [Blob(sha256=item.name[6:], size=item.size, touched_at=item.modified_at) for item in items]
    Blob.objects.bulk_create(rows, ignore_conflicts=True)
