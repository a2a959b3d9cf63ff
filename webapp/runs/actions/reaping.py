"""Finds what fell silent. Silence counts only while this process could have heard it.

When Postgres is away nobody can heartbeat, and the moment it is back every heartbeat looks old. So an attempt is lost
only when the reaper itself has seen the database without a gap for as long as the attempt was silent; by then
each living worker (a heartbeat every 3 s) has spoken. A reaper that has just started waits in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from webapp.runs import news
from webapp.runs.actions.losing import lose
from webapp.runs.actions.outside import lose_silent
from webapp.runs.models import Attempt, Run, Worker

LONGEST_GAP_S = 10.0  # between two looks at the database that still count as "without a gap"; a tick comes every 3 s


class Observation:
    """How long one process has seen the database without a gap, on its own monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.since: float | None = None
        self.last = 0.0

    def look(self) -> float:
        """Called right after the database answered: seconds without a gap up to now."""
        now = self.clock()
        if self.since is None or now - self.last > LONGEST_GAP_S:
            self.since = now
        self.last = now
        return now - self.since


_own = Observation()


def reap(silent_s: float = 20.0, observed_since: float | None = None, *, external_silent_s: float = 300.0) -> list[Run]:
    """Ends attempts and workers that were silent for longer than `silent_s`; returns the runs that were affected.

    External runs whose program has been silent for longer than `external_silent_s` are lost too.

    To be called every few seconds, and only its own calls count as having seen the database. A caller that keeps
    watch itself passes `observed_since` (time.monotonic() at its first look after the last gap).
    """
    Worker.objects.exists()  # raises when the database is away, before anything is counted
    own = _own.look()
    observed_s = own if observed_since is None else time.monotonic() - observed_since
    if observed_s < silent_s:
        return []
    _retire_workers(silent_s)
    silent = Attempt.objects.filter(ended_at=None, heartbeat_at__lt=Now() - timedelta(seconds=silent_s))
    lost = [run for attempt_id in silent.values_list("pk", flat=True) if (run := _lose(attempt_id, silent_s))]
    return lost + (lose_silent(external_silent_s) if observed_s >= external_silent_s else [])


@transaction.atomic
def _lose(attempt_id: UUID, silent_s: float) -> Run | None:
    """Looks again under a lock: it may have spoken just now, and another reaper may be at it."""
    silent = Attempt.objects.filter(ended_at=None, heartbeat_at__lt=Now() - timedelta(seconds=silent_s))
    attempt = silent.select_for_update(of=("self",), skip_locked=True).filter(pk=attempt_id).first()
    return lose(attempt) if attempt else None


@transaction.atomic
def _retire_workers(silent_s: float) -> None:
    silent = Worker.objects.filter(stopped_at=None, heartbeat_at__lt=Now() - timedelta(seconds=silent_s))
    for worker in silent.select_for_update(skip_locked=True):
        Worker.objects.filter(pk=worker.pk).update(stopped_at=Now())
        news.publish_on_commit("all", "worker", {"worker": worker.pk, "name": worker.name})
