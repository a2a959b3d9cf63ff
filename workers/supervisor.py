"""One attempt from its claim to its end: its inputs, its training process, its journal, its rows."""

from __future__ import annotations

import logging
import shutil
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db import transaction

from gpu_jobs.events import Event, Stopped, encode
from webapp.metrics import store
from webapp.metrics.media import actions as media
from webapp.runs import actions, news
from webapp.runs.actions import LogEntry
from webapp.runs.errors import Gone
from webapp.runs.models import Attempt
from webapp.runs.states import Status
from workers import forkserver, inputs, kernel, settings
from workers.archive import Archive
from workers.child import Job
from workers.database import Patience, patiently
from workers.errors import GivenUp
from workers.ingest import Ingest
from workers.journal import Journal
from workers.reader import End, Reader
from workers.verdict import verdict

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ground:
    """Where a run of this attempt begins: folders, fetched inputs, and the step of its checkpoint."""

    work_dir: Path
    inputs: dict[str, Path]
    resume_from: Path | None
    step: int


class Supervisor:
    """`run` belongs to one thread; everything else may be called from any other at any time."""

    def __init__(self, attempt: Attempt, environment: dict[str, str], pool: ThreadPoolExecutor) -> None:
        self.attempt = attempt
        self.patience = Patience()
        self.slot_is_free = threading.Event()  # its process is gone; there may be something left to write
        self._environment, self._pool = environment, pool
        self._work_dir = work_dir_of(attempt.run_id, attempt.pk)
        self._lock = threading.Lock()
        self._stopping = self._dropped = False
        self._child: forkserver.Child | None = None
        self._reader: Reader | None = None

    def run(self) -> None:
        """Returns when the attempt is over, whatever happens to it."""
        journal = Journal(self.attempt.pk)
        try:
            self._supervise(journal)
        except Gone:
            logger.info("Attempt %s of run %s is over", self.attempt.pk, self.attempt.run_id)
        except GivenUp:
            logger.warning("Attempt %s is left to the next worker on this home", self.attempt.pk)
            journal.release()
            return
        except Exception as error:  # the one broad except: whatever went wrong is the run's failure, not the worker's
            logger.exception("Attempt %s of run %s failed", self.attempt.pk, self.attempt.run_id)
            _fail(self.attempt, error, self.patience)
        finally:
            self.slot_is_free.set()
        journal.delete()
        shutil.rmtree(self._work_dir, ignore_errors=True)

    def stop(self) -> None:
        """Asks the job to write a checkpoint and end; kills it after the grace period."""
        with self._lock:
            if not self._stopping:
                self._stopping = True
                self._ask_to_stop()

    def drop(self) -> None:
        """The attempt is over for everybody else: kills the process, writes nothing more."""
        with self._lock:
            self._dropped = True
            if self._child:
                self._child.kill()

    def shut_down(self) -> None:
        """The worker stops: the run goes back into the queue with a checkpoint. Postgres is waited for as long."""
        self.stop()
        self.patience.limit(settings.STOP_GRACE_S)

    def _ask_to_stop(self) -> None:
        if self._child and self._reader:
            self._child.ask_to_stop()
            self._reader.kill_after(settings.STOP_GRACE_S)

    def _supervise(self, journal: Journal) -> None:
        ground = patiently(self._prepare, self.patience)
        archive = Archive(self._work_dir, journal, self._pool, self.patience, ground.step)
        try:
            self._start(ground, journal, archive)
            Ingest(self.attempt.pk, journal, self.patience, archive.finish).run()
        except BaseException:
            self.drop()
            raise
        finally:
            if self._reader:
                self._reader.join()
        if self._reader and self._reader.error:
            raise self._reader.error

    def _prepare(self) -> Ground:
        """Bears being called again. Raises Gone, InputGone, BlobMissing, BlobCorrupt and OSError."""
        run = self.attempt.run
        shutil.rmtree(self._work_dir, ignore_errors=True)
        self._work_dir.mkdir(mode=0o700, parents=True)
        resume_from, step = inputs.fetch_checkpoint(run, self._work_dir / "resume")
        found = inputs.fetch(run, self._work_dir / "inputs")
        if self.attempt.number > 1:
            _rewind(self.attempt, step if resume_from else -1)
        return Ground(self._work_dir, found, resume_from, step)

    def _start(self, ground: Ground, journal: Journal, archive: Archive) -> None:
        """Forks the training process, unless it was asked to stop meanwhile."""
        if self._stopping:
            journal.append(encode(Stopped(step=ground.step)))
            journal.close()
            return
        kills = kernel.out_of_memory_kills()
        child = forkserver.start(self._job(ground))
        with self._lock:
            self._child = child
            self._reader = Reader(child, journal, archive, lambda end: self._last_word(end, archive, kills))
            self._reader.on_end = self.slot_is_free.set
            self._reader.start()
            if self._stopping:
                self._ask_to_stop()
            if self._dropped:
                child.kill()

    def _job(self, ground: Ground) -> Job:
        cache_dir = settings.home("cache") / "data"
        spec = self.attempt.run.spec
        return Job(spec, ground.work_dir, cache_dir, ground.inputs, ground.resume_from, self._environment)

    def _last_word(self, end: End, archive: Archive, kills: int) -> Event:
        """For a process that ended without one."""
        return verdict(
            end.code,
            asked_to_stop=self._stopping,
            out_of_memory=kernel.out_of_memory_kills() > kills,
            step=archive.step,
            printed=end.printed,
        )


def work_dir_of(run_id: int, attempt_id: UUID) -> Path:
    return settings.home("work") / str(run_id) / str(attempt_id)


@transaction.atomic
def _rewind(attempt: Attempt, step: int) -> None:
    """Forgets what earlier attempts logged after the checkpoint. Raises Gone."""
    actions.lock(attempt.pk)
    store.rewind(attempt.run_id, step)
    media.rewind(attempt.run_id, step)
    news.publish_on_commit(attempt.run_id, "rewind", {"step": step})


def _fail(attempt: Attempt, error: Exception, patience: Patience) -> None:
    """Ends the attempt as failed, with the traceback in its log."""
    entry = LogEntry(time.time(), "error", "".join(traceback.format_exception(error)))

    @transaction.atomic
    def write() -> None:
        actions.logged(attempt, [entry])
        actions.finish(attempt, Status.FAILED, error_type=type(error).__name__, error_message=str(error))

    with suppress(Gone, GivenUp):
        patiently(write, patience)
