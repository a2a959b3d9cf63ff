"""What an earlier worker on this home left behind: journals that Postgres has not seen to the end, and folders.

A training process does not outlive its worker, so an attempt without a last word is lost; but what its journal holds is
written first, and a run that had finished while Postgres was away is finished now.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from uuid import UUID

from django.db import connection

from gpu_jobs.events import Artifact, Checkpoint, encode
from webapp.runs import actions
from webapp.runs.errors import Gone
from webapp.runs.models import Attempt
from workers import settings
from workers.archive import Archive
from workers.database import AWAY, Patience, patiently
from workers.entries import FINAL, Lost, Stored, decode
from workers.ingest import Ingest
from workers.journal import Journal, leftovers
from workers.supervisor import work_dir_of

logger = logging.getLogger(__name__)


def adopt_all(pool: ThreadPoolExecutor) -> None:
    """Before this worker registers: by then the attempts of a dead worker of the same name count as lost."""
    for attempt_id in leftovers():
        try:
            journal = Journal(attempt_id)
        except BlockingIOError:
            continue  # its worker lives
        adopt(attempt_id, journal, pool)
    _remove_folders()


def adopt(attempt_id: UUID, journal: Journal, pool: ThreadPoolExecutor) -> None:
    """Brings one attempt to its end."""
    attempt = patiently(lambda: Attempt.objects.filter(pk=attempt_id, ended_at=None).first(), Patience())
    if attempt:
        logger.info("Taking up the journal of attempt %s of run %s", attempt.pk, attempt.run_id)
        with suppress(Gone), _sign_of_life(attempt):
            _replay(attempt, journal, pool)
        shutil.rmtree(work_dir_of(attempt.run_id, attempt_id), ignore_errors=True)
    journal.delete()


def _replay(attempt: Attempt, journal: Journal, pool: ThreadPoolExecutor) -> None:
    entries = [decode(line) for line in journal.lines()]
    archive = Archive(work_dir_of(attempt.run_id, attempt.pk), journal, pool, Patience())
    stored = {entry.files[0][0] for entry in entries if isinstance(entry, Stored) and entry.files}
    for entry in entries:
        if isinstance(entry, Checkpoint | Artifact) and not _is_stored(entry, stored):
            archive.put(entry)
    if not any(isinstance(entry, FINAL) for entry in entries):
        journal.append(encode(Lost(message="The worker died, and the training process with it.")))
    journal.close()
    Ingest(attempt.pk, journal, Patience(), archive.finish).run()


def _is_stored(entry: Checkpoint | Artifact, stored: set[str]) -> bool:
    path = entry.folder if isinstance(entry, Checkpoint) else entry.path
    return any(file == path or file.startswith(f"{path}/") for file in stored)


@contextmanager
def _sign_of_life(attempt: Attempt) -> Iterator[None]:
    """Nobody may take it for lost while its model is being stored."""
    over = threading.Event()

    def touch() -> None:
        while True:
            with suppress(Gone, *AWAY):
                actions.touch(attempt)
            connection.close()
            if over.wait(settings.HEARTBEAT_S):
                return

    thread = threading.Thread(target=touch, name="sign of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _remove_folders() -> None:
    """Work folders without a journal: their worker was killed while it cleaned up."""
    known = {str(attempt_id) for attempt_id in leftovers()}
    for folder in settings.home("work").glob("*/*"):
        if folder.name not in known:
            shutil.rmtree(folder, ignore_errors=True)
