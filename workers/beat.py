"""The scheduler: schedules of runs and sweeps, and the dispatcher's tick. Survives a database that is away.

It is Celery's, so that any other periodic task in django-celery-beat's tables is sent as usual. The rows of Hone's own
schedules are left out of that: they are fired here, by their own times (docs/decisions/0007-schedules.md).
"""

from __future__ import annotations

import time
from typing import Any

from celery.utils.log import get_logger
from django.db import connection
from django_celery_beat.schedulers import DatabaseScheduler

from webapp.sweeps.scheduling.periodic import TASK
from workers import dispatch, schedules
from workers.database import AWAY

logger = get_logger(__name__)


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """The schedule is read with the first tick that finds Postgres, and anew after each outage."""

    _is_read = _is_away = False
    _next_tick = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "lazy": True})

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Seconds until it wants to be called again."""
        if time.monotonic() >= self._next_tick:
            self._next_tick = time.monotonic() + dispatch.TICK_S
            dispatch.calmly_tick()
        try:
            wait_s = self._scheduled(*args, **kwargs)
            self._is_away = False
        except AWAY as error:
            if not self._is_away:
                logger.warning("Nothing scheduled, PostgreSQL is away: %s", str(error).strip().partition("\n")[0])
            self._is_away = True
            connection.close()
            self._is_read, self._initial_read, self._heap = False, True, None
            wait_s = dispatch.TICK_S
        return max(0.0, min(wait_s, self._next_tick - time.monotonic()))

    def _scheduled(self, *args: Any, **kwargs: Any) -> float:
        if not self._is_read:
            self.setup_schedule()
            self._is_read = True
        return min(float(super().tick(*args, **kwargs)), schedules.fire_due())

    def enabled_models_qs(self) -> Any:
        return super().enabled_models_qs().exclude(task=TASK)
