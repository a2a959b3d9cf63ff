"""What of runs and metrics nobody can reach any more, in one pass; what goes of runs and blobs stands a layer below.

Safe beside running writers. A series goes only while nobody writes to it (its row is locked first), and a writer that
comes meanwhile makes it anew; a key goes once it is older than keys are kept for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from webapp.accounts.models import Project
from webapp.metrics.keys import KEPT
from webapp.metrics.media import thumbnails
from webapp.metrics.models import PointsKey
from webapp.runs.actions import garbage as below
from webapp.runs.actions.garbage import BLOB_AGE

EMPTY_SERIES = """
    SELECT series.id FROM series JOIN runs ON runs.id = series.run_id
    WHERE series.count = 0 AND (%(project)s::bigint IS NULL OR runs.project_id = %(project)s)
      AND NOT EXISTS (SELECT FROM metric_chunks WHERE series_id = series.id)"""
POINT_BYTES = """
    SELECT coalesce(sum(pg_column_size(steps) + pg_column_size("values") + pg_column_size(times)
                        + coalesce(pg_column_size(envelope), 0) + coalesce(pg_column_size(contour), 0)
                        + coalesce(pg_column_size(outline), 0)), 0)
    FROM metric_chunks JOIN series ON series.id = series_id WHERE run_id = ANY(%s)"""


class Collected(NamedTuple):
    """Numbers of rows, and bytes: of points in the database, of blobs in the storage."""

    runs: int
    point_bytes: int
    blobs: int
    blob_bytes: int
    keys: int
    series: int
    workers: int


def collect(older_than: timedelta, project: Project | None = None, blob_age: timedelta = BLOB_AGE) -> Collected:
    """Deletes; with a project only its runs, series and keys, and what no project refers to."""
    size = _point_bytes(below.doomed_runs(older_than, project))
    went = below.collect(older_than, blob_age, project)
    thumbnails.drop_unused()
    keys, _ = _expired_keys(project).delete()
    series = _rows(f"DELETE FROM series WHERE id IN ({EMPTY_SERIES} FOR UPDATE OF series SKIP LOCKED)", project)  # noqa: S608
    return Collected(went.runs, size, went.blobs, went.bytes, keys, series, went.workers)


def survey(older_than: timedelta, project: Project | None = None, blob_age: timedelta = BLOB_AGE) -> Collected:
    """What `collect` would delete now. Changes nothing and locks nothing."""
    size = _point_bytes(below.doomed_runs(older_than, project))
    would = below.survey(older_than, blob_age, project)
    keys = _expired_keys(project).exclude(run__in=below.doomed_runs(older_than, project)).count()
    doomed = f"SELECT FROM ({EMPTY_SERIES} AND NOT (runs.id = ANY(%(runs)s))) AS empty"
    series = _rows(doomed, project, runs=below.doomed_runs(older_than, project))
    return Collected(would.runs, size, would.blobs, would.bytes, keys, series, would.workers)


def _expired_keys(project: Project | None) -> QuerySet[PointsKey]:
    expired = PointsKey.objects.filter(created_at__lt=Now() - KEPT)
    return expired if project is None else expired.filter(run__project=project)


def _point_bytes(runs: Sequence[int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(POINT_BYTES, [list(runs)])
        return int(cursor.fetchone()[0])


def _rows(statement: str, project: Project | None, **more: Any) -> int:
    """How many rows it has found or deleted."""
    with connection.cursor() as cursor:
        cursor.execute(statement, {"project": project.pk if project else None, **more})
        return int(cursor.rowcount)
