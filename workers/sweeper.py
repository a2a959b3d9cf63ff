"""Advances sweeps: at once when a run of this worker has ended, else every second. Keeps fits current, less often.

Every worker does, and whoever comes first to a sweep or fit does it; so they go on as long as one worker lives.
"""

from __future__ import annotations

import logging
import threading
import time

from django.db import connection

from webapp.scaling.actions import keep_current
from webapp.sweeps import actions
from workers.database import AWAY

EVERY_S = 1.0
KEEP_EVERY_S = 3.0
logger = logging.getLogger(__name__)


class Sweeper(threading.Thread):
    """Works until `over` is set."""

    def __init__(self, over: threading.Event) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._over = over
        self._woken = threading.Event()
        self._keeps_at = 0.0

    def wake(self) -> None:
        """A run has ended: its slot wants the next."""
        self._woken.set()

    def run(self) -> None:
        while not self._over.is_set():
            self._woken.wait(EVERY_S)
            self._woken.clear()
            calmly_advance()
            if time.monotonic() >= self._keeps_at:
                calmly_keep()
                self._keeps_at = time.monotonic() + KEEP_EVERY_S
        connection.close()


def calmly_advance() -> None:
    """Every live sweep, bearing a database that is away: the next call finds it again."""
    try:
        for sweep_id in actions.living():
            _advance(sweep_id)
    except AWAY as error:
        logger.warning("No sweep advances, PostgreSQL is away: %s", str(error).strip().partition("\n")[0])
        connection.close()


def calmly_keep() -> None:
    """Every fit that is kept current, bearing a database that is away."""
    try:
        keep_current()
    except AWAY as error:
        logger.warning("No fit is kept current, PostgreSQL is away: %s", str(error).strip().partition("\n")[0])
        connection.close()


def _advance(sweep_id: int) -> None:
    """A sampler or a stopper may raise whatever it likes: that ends its sweep and says so, and none of the others."""
    try:
        actions.advance(sweep_id)
    except AWAY:
        raise
    except Exception as error:
        logger.exception("Sweep %s can't go on", sweep_id)
        actions.fail(sweep_id, f"It can't go on: {type(error).__name__}: {error}"[:1000])
