"""The numbers around every page: what the nav counts, and the slots. One statement, as every page pays for it."""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings
from django.db import connection

from webapp.runs.actions.outside import EXTERNAL
from webapp.runs.states import ACTIVE
from webapp.sweeps.states import LIVE


class Capacity(NamedTuple):
    busy: int
    total: int

    @property
    def text(self) -> str:
        return f"{self.busy} of {self.total} slots busy" if self.total else "no worker"

    @property
    def marks(self) -> list[bool]:
        """One a slot, True when it is busy; a dozen at most."""
        shown = min(self.total, 12)
        busy = round(self.busy * shown / self.total) if self.total else 0
        return [place < busy for place in range(shown)]


class Counts(NamedTuple):
    """`sweeps` that are still looked after, and `scaling`, fits and ladders, are of the project; the rest of all."""

    sweeps: int
    scaling: int
    waiting: int
    workers: int
    capacity: Capacity


def counts(project_id: int | None = None) -> Counts:
    """`capacity`: slots of living workers, and how many of them are taken. External runs run elsewhere."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, {
            "project": project_id, "live": sorted(LIVE), "active": sorted(ACTIVE), "external": EXTERNAL,
            "silent": settings.SILENT_S,
        })  # fmt: skip
        sweeps, scaling, waiting, workers, slots, busy = cursor.fetchone()
    return Counts(sweeps, scaling, waiting, workers, Capacity(min(busy, slots), slots))


_COUNTS = """
SELECT (SELECT count(*) FROM sweeps WHERE project_id = %(project)s AND deleted_at IS NULL AND status = ANY(%(live)s)),
       (SELECT count(*) FROM fits WHERE project_id = %(project)s AND deleted_at IS NULL)
       + (SELECT count(*) FROM ladders WHERE project_id = %(project)s AND deleted_at IS NULL),
       (SELECT count(*) FROM runs WHERE status = 'queued' AND deleted_at IS NULL),
       living.workers, living.slots,
       (SELECT coalesce(sum(gpus), 0) FROM runs
        WHERE status = ANY(%(active)s) AND deleted_at IS NULL AND kind <> %(external)s)
FROM (SELECT count(*) AS workers, coalesce(sum(slots), 0) AS slots FROM workers WHERE stopped_at IS NULL
      AND heartbeat_at > statement_timestamp() - make_interval(secs => %(silent)s)) AS living
"""
