"""Postgres may be away: wait, reconnect, go on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

from workers.errors import GivenUp

AWAY = (OperationalError, InterfaceError)
WAITS_S = (0.1, 0.2, 0.5, 1.0, 2.0)
Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)


class Patience:
    """How long to wait for Postgres: for ever, until a deadline is set (a worker that stops has its grace period)."""

    def __init__(self) -> None:
        self._deadline = float("inf")
        self._changed = threading.Condition()

    def limit(self, seconds: float) -> None:
        with self._changed:
            self._deadline = min(self._deadline, time.monotonic() + seconds)
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Raises GivenUp when the deadline has passed."""
        with self._changed:
            self._changed.wait_for(self._is_over, min(seconds, max(0.0, self._deadline - time.monotonic())))
            if self._is_over():
                raise GivenUp("PostgreSQL is away, and this worker has to stop.")

    def _is_over(self) -> bool:
        return time.monotonic() >= self._deadline


def patiently(ask: Callable[[], Answer], patience: Patience) -> Answer:
    """The answer, once Postgres gives it. `ask` must bear being asked again. Raises GivenUp."""
    attempt = 0
    while True:
        try:
            return ask()
        except AWAY as error:
            connection.close()
            if attempt == 0:
                logger.warning("PostgreSQL is away, trying again: %s", str(error).strip().partition("\n")[0])
            patience.wait(WAITS_S[min(attempt, len(WAITS_S) - 1)])
            attempt += 1
