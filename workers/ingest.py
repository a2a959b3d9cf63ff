"""From the journal into Postgres: batches in order, each in one transaction, each exactly once.

A batch moves the attempt's `sequence` from the entry before its first to its last, in the transaction that writes
what the entries say. When the answer to a COMMIT is lost, the row tells whether it happened.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from django.db import transaction

from gpu_jobs.events import Event
from webapp.runs import actions
from workers import batch, settings
from workers.database import Patience, patiently
from workers.entries import FINAL, decode
from workers.journal import Journal

Entry = tuple[int, Event]
logger = logging.getLogger(__name__)


class Ingest:
    """One attempt's. `before_final` is called when only the final entry is left: what it appends counts before it."""

    def __init__(
        self, attempt_id: UUID, journal: Journal, patience: Patience, before_final: Callable[[], None] = lambda: None
    ) -> None:
        self._attempt_id, self._journal, self._patience = attempt_id, journal, patience
        self._before_final = before_final
        self._committed_at = 0.0

    def run(self) -> None:
        """Until the final entry is in Postgres. Raises Gone when the attempt is over for others, and GivenUp."""
        while self._journal.wait():
            self._journal.wait_urgent(self._committed_at + settings.BATCH_S - time.monotonic())
            entries = self._decoded()
            at = next((at for at, (_, event) in enumerate(entries) if isinstance(event, FINAL)), None)
            self._apply(entries[:at])
            if at is not None:
                self._before_final()
                self._apply([*entries[at:], *self._rest()], entries[at][1])
                return

    def _apply(self, entries: list[Entry], final: Event | None = None) -> None:
        if entries:
            patiently(lambda: self._commit(entries, final), self._patience)
            self._committed_at = time.monotonic()

    def _rest(self) -> list[Entry]:
        """All that was appended until now."""
        entries = []
        while not self._journal.at_end:
            entries += self._decoded()
        return entries

    def _decoded(self) -> list[Entry]:
        entries = []
        for sequence, line in self._journal.read():
            try:
                entries.append((sequence, decode(line)))
            except ValueError as error:
                logger.warning("Attempt %s said what is no event: %s", self._attempt_id, error)
        return entries

    @transaction.atomic
    def _commit(self, entries: Sequence[Entry], final: Event | None) -> None:
        attempt = actions.lock(self._attempt_id)
        new = [event for sequence, event in entries if sequence > attempt.sequence]
        if new:
            batch.write(attempt, new)
            actions.advance(attempt, entries[-1][0])
        if final:
            batch.end(attempt, final)
