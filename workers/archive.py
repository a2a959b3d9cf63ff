"""Checkpoints and artifacts of one attempt on their way into the storage, beside the stream of points, not in it.

A folder is linked aside the moment it is announced, so the training code may delete it while it is being stored. When
its files are in the storage, a Stored entry in the journal says so, and only that makes it visible.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from uuid import uuid4

from gpu_jobs.events import Artifact, Checkpoint, Log, encode
from webapp.runs import blobs
from webapp.runs.paths import confined
from workers.database import Patience, patiently
from workers.entries import Stored
from workers.journal import Journal

KEPT_CHECKPOINTS = 2
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    event: Checkpoint | Artifact
    folder: Path
    future: Future[None]


class Archive:
    """One attempt's. `pool` is the worker's, shared by all attempts; `step` is that of the latest checkpoint."""

    def __init__(
        self, work_dir: Path, journal: Journal, pool: ThreadPoolExecutor, patience: Patience, step: int = 0
    ) -> None:
        self.step = step
        self._work_dir, self._journal, self._pool, self._patience = work_dir, journal, pool, patience
        self._checkpoints: deque[Waiting] = deque()
        self._waiting: list[Waiting] = []
        self._lock = Lock()

    def put(self, event: Checkpoint | Artifact) -> None:
        """Begins to store it. What is there no longer (an old checkpoint, after a restart) is passed over."""
        path = self._work_dir / confined(event.folder if isinstance(event, Checkpoint) else event.path)
        aside = self._work_dir / ".archive" / uuid4().hex
        try:
            _link(path, aside)
        except FileNotFoundError:
            logger.info("%s was gone before it could be stored", path)
            shutil.rmtree(aside, ignore_errors=True)
            return
        waiting = Waiting(event, aside, self._pool.submit(self._store, event, aside))
        with self._lock:
            self._waiting.append(waiting)
            if isinstance(event, Checkpoint):
                self.step = event.step
                self._checkpoints.append(waiting)
                self._drop_old_checkpoints()

    def finish(self) -> None:
        """Returns once everything is in the storage. Raises what kept an artifact out of it."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for item in waiting:
            error = None if item.future.cancelled() else item.future.exception()
            if error and not isinstance(item.event, Checkpoint):
                raise error
            if error:  # the run has done its work; it only could not have gone on from here
                lost = Log(level="warning", message=f"Checkpoint {item.event.step} could not be stored: {error}")
                self._journal.append(encode(lost))

    def _drop_old_checkpoints(self) -> None:
        """Those that wait behind two newer ones: the disk must not fill while Postgres or the storage is away."""
        while len(self._checkpoints) > KEPT_CHECKPOINTS:
            old = self._checkpoints.popleft()
            if old.future.cancel():
                shutil.rmtree(old.folder, ignore_errors=True)

    def _store(self, event: Checkpoint | Artifact, aside: Path) -> None:
        name = event.folder if isinstance(event, Checkpoint) else event.path
        files = []
        for file in _files(aside):
            blob = patiently(lambda file=file: blobs.store(file), self._patience)  # type: ignore[misc]
            inside = file.relative_to(aside).as_posix()
            files.append((f"{name}/{inside}" if inside != _ONLY else name, blob.sha256))
        kind = "checkpoint" if isinstance(event, Checkpoint) else event.kind
        folder = name if files and files[0][0] != name else ""
        self._journal.append(encode(Stored(kind=kind, folder=folder, step=event.step, files=files)))
        shutil.rmtree(aside, ignore_errors=True)


_ONLY = ".only"  # the name aside of an artifact that is one file


def _link(path: Path, aside: Path) -> None:
    """Hard links of a file or of every file of a folder; copies where the file system has no links."""
    if not path.is_dir():
        aside.mkdir(parents=True)
        _link_file(path, aside / _ONLY)
        return
    for file in _files(path):
        target = aside / file.relative_to(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        _link_file(file, target)


def _link_file(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except PermissionError:
        shutil.copyfile(file, target)


def _files(folder: Path) -> Iterator[Path]:
    """Regular files only: a link could lead out of the folder."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
