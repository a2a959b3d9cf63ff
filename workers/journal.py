"""The journal of one attempt: every entry on local disk before Postgres; line n has the sequence number n.

Appended with write() and never fsynced: the page cache survives the death of this process, which is what the journal
is for. When the whole machine loses power the attempt is lost, and the next one rewinds to a checkpoint in the storage.
The file is locked while its worker lives, so that another worker on this home knows whose it is.
"""

from __future__ import annotations

import fcntl
import os
import threading
from uuid import UUID

from workers import settings

BATCH_BYTES = 1 << 20


class Journal:
    """Appended to by several threads, read by one. `close` says that nothing more will come."""

    def __init__(self, attempt_id: UUID) -> None:
        """Opens or creates it; the torn last line of a killed worker is cut off. Raises BlockingIOError when taken."""
        self.path = settings.home("journal") / f"{attempt_id}.jsonl"
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise
        self._changed = threading.Condition()
        self._size = self._cut_torn_line()
        self._offset = 0
        self._sequence = 0
        self._urgent = False
        self.closed = False

    def append(self, lines: bytes, *, urgent: bool = False) -> None:
        """Adds whole lines, all or none; `urgent` ones wait for no others. Raises OSError when the disk is full."""
        with self._changed:
            written = 0
            try:
                while written < len(lines):
                    written += os.write(self._fd, lines[written:])
            except OSError:
                os.ftruncate(self._fd, self._size)
                raise
            self._size += len(lines)
            self._urgent = self._urgent or urgent
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def wait(self) -> bool:
        """Until there is something to read: True. False when nothing more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._size > self._offset)
            return self._size > self._offset

    def wait_urgent(self, timeout_s: float) -> None:
        """Until it is closed or something urgent was appended, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._urgent, timeout_s)

    @property
    def at_end(self) -> bool:
        """Whether every entry was read."""
        with self._changed:
            return self._offset >= self._size

    def read(self) -> list[tuple[int, bytes]]:
        """The next entries, up to about 1 MiB, with their sequence numbers; each is returned once."""
        lines = self._next_lines()
        self._offset += sum(map(len, lines))
        first = self._sequence + 1
        self._sequence += len(lines)
        return list(enumerate(lines, first))

    def _next_lines(self) -> list[bytes]:
        """Whole lines. pread, because the descriptor's own position moves with every append."""
        size = BATCH_BYTES
        while True:
            chunk = os.pread(self._fd, size, self._offset)
            whole = chunk.rfind(b"\n") + 1
            if whole or not chunk:
                return chunk[:whole].splitlines(keepends=True)
            size *= 2

    def lines(self) -> list[bytes]:
        """Everything in it, from the start."""
        return self.path.read_bytes().splitlines(keepends=True)

    def release(self) -> None:
        """Leaves the file for the next worker on this home."""
        os.close(self._fd)

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self._fd)

    def _cut_torn_line(self) -> int:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._fd, whole)
        return whole


def leftovers() -> list[UUID]:
    """The attempts whose journals lie in this home, whoever they belong to."""
    return [UUID(path.stem) for path in settings.home("journal").glob("*.jsonl")]
