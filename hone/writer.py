"""The thread between `run.log`, which only appends to a queue, and the journal on disk."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

from hone.columns import Row, bodies
from hone.journal import Journal
from hone.keeping import Keeper
from hone.media import Media, Waiting, total

EVERY_S = 0.5  # what was logged for longer than this, and a killed process, is on disk
EARLY_ROWS = 4096  # so many are fetched at once
MOST_ROWS = 50_000  # in memory
MOST_MEDIA_BYTES = 64 << 20  # in memory, and one picture more
MOST_MEDIA = 1000
LONGEST_WAIT_S = 0.05  # that `log` waits for room before it drops points
logger = logging.getLogger("hone")


class Writer(threading.Thread):
    """Owns the queue. `rows.append` is all that the training loop does; no lock is taken there."""

    def __init__(self, journal: Journal, written: Callable[[], None]) -> None:
        super().__init__(name="hone-writer", daemon=True)
        self.rows: deque[Row] = deque()
        self.media: deque[Waiting] = deque()
        self.dropped = 0  # points and media, because the disk did not keep up or was full
        self._journal = journal
        self._keeper = Keeper(journal)
        self._written = written
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._closing = self._is_writing = self._is_dropping = False

    def wake(self) -> None:
        self._wakes.put(None)

    def has_room(self, points: int) -> bool:
        """When the queue is full: waits a moment for the thread, once; then points are dropped until there is room."""
        until = time.monotonic() + (0.0 if self._is_dropping else LONGEST_WAIT_S)
        while len(self.rows) >= MOST_ROWS:
            if time.monotonic() >= until:
                self._drop(points)
                return False
            self.wake()
            time.sleep(0.001)
        self._is_dropping = False
        return True

    def add_media(self, step: int, at: float, items: dict[str, Media]) -> None:
        """Waits a moment for room when too much is waiting, as `has_room` does; then they are dropped."""
        waiting = Waiting(step, at, items)
        until = time.monotonic() + (0.0 if self._is_dropping else LONGEST_WAIT_S)
        while self.media and (len(self.media) >= MOST_MEDIA or total([*self.media]) + waiting.size > MOST_MEDIA_BYTES):
            if time.monotonic() >= until:
                self._drop(len(items))
                return
            self.wake()
            time.sleep(0.001)
        self._is_dropping = False
        self.media.append(waiting)
        self.wake()

    def close(self, timeout_s: float) -> None:
        """Hands everything to the journal."""
        self._closing = True
        self.wake()
        self.join(timeout_s)

    def flush(self, timeout_s: float) -> bool:
        """Waits until what has been logged so far is on disk."""
        until = time.monotonic() + timeout_s
        self.wake()
        while self.rows or self.media or self._is_writing:
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def run(self) -> None:
        while True:
            closing = self._closing
            self._drain()
            if closing:
                return
            self._sleep()

    def _sleep(self) -> None:
        try:
            self._wakes.get(timeout=EVERY_S)
            while True:
                self._wakes.get_nowait()
        except Empty:
            pass

    def _drain(self) -> None:
        self._is_writing = True
        try:
            for points, body in bodies(self._taken()):
                self._write(points, body)
                self._written()
            for _ in range(len(self.media)):
                self._write_media(self.media.popleft())
                self._written()
        finally:
            self._is_writing = False

    def _taken(self) -> Iterator[Row]:
        for _ in range(len(self.rows)):
            yield self.rows.popleft()

    def _write(self, points: int, body: str) -> None:
        try:
            self._journal.append("points", body)
            self._is_dropping = False
        except OSError as error:
            self._drop(points, f"{self._journal.folder} can't be written ({error.strerror})")

    def _write_media(self, waiting: Waiting) -> None:
        refused = self._keeper.refused
        try:
            self._keeper.write(waiting)
        except OSError as error:
            self._drop(len(waiting.items), f"{self._journal.folder} can't be written ({error.strerror})")
        self.dropped += self._keeper.refused - refused

    def _drop(self, points: int, why: str = "the disk does not keep up with what is logged") -> None:
        if not self._is_dropping:
            logger.warning("Points are being dropped: %s.", why)
        self._is_dropping = True
        self.dropped += points
