"""Says every few seconds that this worker and its attempts live, and hears what is asked of them."""

from __future__ import annotations

import logging
import threading

from django.db import connection

from webapp.runs import actions
from workers import settings
from workers.database import AWAY
from workers.slots import Slots

logger = logging.getLogger(__name__)


class Heartbeat(threading.Thread):
    """Beats until `over` is set. While Postgres is away it keeps trying; training goes on."""

    def __init__(self, slots: Slots, over: threading.Event) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._slots, self._over = slots, over
        self._wake = threading.Event()
        self._is_away = False

    def beat_now(self) -> None:
        """Somebody may be asked something; also to be called once `over` is set."""
        self._wake.set()

    def run(self) -> None:
        while True:
            self._wake.wait(settings.HEARTBEAT_S)
            self._wake.clear()
            if self._over.is_set():
                break
            try:
                self._beat()
                self._is_away = False
            except AWAY as error:
                connection.close()
                if not self._is_away:
                    logger.warning("No heartbeat, PostgreSQL is away: %s", str(error).strip().partition("\n")[0])
                self._is_away = True
        connection.close()

    def _beat(self) -> None:
        supervisors = dict(self._slots.supervisors)
        for attempt_id, wanted in actions.heartbeat(self._slots.worker, list(supervisors)).items():
            if wanted == "stop":
                supervisors[attempt_id].stop()
            elif wanted == "gone":
                supervisors[attempt_id].drop()
