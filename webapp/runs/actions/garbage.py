"""Deletes what nobody can reach any more: runs long deleted, bytes that nothing refers to, workers long gone.

Safe beside running stores: a blob goes only when it was neither stored nor found present for `BLOB_AGE`, its row is
deleted (and so locked) before its bytes, and a store that comes meanwhile waits for the row and writes the bytes again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.core.files.storage import default_storage, storages
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from webapp.accounts.models import Project
from webapp.runs import blobs
from webapp.runs.models import Blob, Input, Run, Worker
from webapp.runs.states import FINAL
from webapp.runs.storage import BlobFiles, Stored, stored

BLOB_AGE = timedelta(days=1)  # longer than any upload of a checkpoint between its bytes and its artifact rows
BLOB_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}")


class Collected(NamedTuple):
    """What went: numbers of rows, and bytes of the storage."""

    runs: int
    blobs: int
    bytes: int
    workers: int


def collect(
    older_than: timedelta = timedelta(days=7), blob_age: timedelta = BLOB_AGE, project: Project | None = None
) -> Collected:
    """One pass. Deleted runs go when they were deleted that long ago and no unfinished run starts from them.

    With a project only its runs go, and the blobs that nothing refers to.
    """
    runs = doomed_runs(older_than, project)
    for run_id in runs:  # one transaction each: a run may have a million points
        Run.objects.filter(pk=run_id).delete()
    backend = storages["default"]
    if isinstance(backend, BlobFiles):
        backend.drop_stale_incoming(timezone.now() - blob_age)
    for orphans in _orphans(blob_age):
        _adopt(orphans)
    sizes = [blob.size for blob in list(_unused(blob_age)) if _delete_blob(blob, blob_age)]
    workers, _ = _gone(older_than, project).delete()
    return Collected(len(runs), len(sizes), sum(sizes), workers)


def survey(
    older_than: timedelta = timedelta(days=7), blob_age: timedelta = BLOB_AGE, project: Project | None = None
) -> Collected:
    """What `collect` would delete now; nothing is changed."""
    runs = doomed_runs(older_than, project)
    sizes = list(_unused(blob_age, runs).values_list("size", flat=True))
    sizes += [item.size for orphans in _orphans(blob_age) for item in _without_row(orphans)]
    return Collected(len(runs), len(sizes), sum(sizes), _gone(older_than, project).count())


def doomed_runs(older_than: timedelta, project: Project | None = None) -> list[int]:
    """The runs that would go."""
    unfinished = Q(run__deleted_at=None) & ~Q(run__status__in=FINAL)
    needed = Input.objects.filter(unfinished, source__isnull=False).values("source_id")
    doomed = Run.objects.filter(deleted_at__lt=Now() - older_than).exclude(pk__in=needed)
    return list((doomed if project is None else doomed.filter(project=project)).values_list("pk", flat=True))


def _gone(older_than: timedelta, project: Project | None) -> QuerySet[Worker]:
    """Workers serve every project: they go with none."""
    return Worker.objects.filter(stopped_at__lt=Now() - older_than) if project is None else Worker.objects.none()


def _unused(age: timedelta, doomed: Sequence[int] = ()) -> QuerySet[Blob]:
    """Blobs to which nothing refers, whatever model may do so, but what belongs to the doomed runs."""
    unused = Blob.objects.filter(touched_at__lt=Now() - age)
    for model, field in _referrers():
        rows = model._default_manager.filter(**{field.name: OuterRef("pk")})
        if any(other.name == "run" for other in model._meta.fields):
            rows = rows.exclude(run__in=doomed)
        unused = unused.filter(~Exists(rows))
    return unused


def _referrers() -> list[tuple[type[Model], Any]]:
    return [(relation.related_model, relation.field) for relation in Blob._meta.related_objects]


def _delete_blob(blob: Blob, age: timedelta) -> bool:
    """False when somebody has come to use it."""
    try:
        with transaction.atomic():
            if not _unused(age).filter(pk=blob.pk)._raw_delete(using=connection.alias):
                return False
            connection.check_constraints()  # foreign keys are checked late; here they must hold before bytes go
            default_storage.delete(blobs.name_of(blob.sha256))
    except IntegrityError:
        return False
    return True


def _orphans(age: timedelta) -> Iterator[list[Stored]]:
    """Old files of the storage, a thousand at a time; those that have no row were left by a writer that died."""
    before = timezone.now() - age
    batch: list[Stored] = []
    for item in stored():
        if item.modified_at < before and BLOB_NAME.fullmatch(item.name):
            batch.append(item)
        if len(batch) == 1000:
            yield batch
            batch = []
    yield batch


def _without_row(items: list[Stored]) -> list[Stored]:
    known = Blob.objects.in_bulk([item.name[6:] for item in items])
    return [item for item in items if item.name[6:] not in known]


def _adopt(items: list[Stored]) -> None:
    """Gives bytes without a row one as old as themselves: they go the way of all blobs."""
    rows = [Blob(sha256=item.name[6:], size=item.size, touched_at=item.modified_at) for item in items]
    Blob.objects.bulk_create(rows, ignore_conflicts=True)
