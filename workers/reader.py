"""Writes what a training process says into the journal. Needs no database, so training never waits for one."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gpu_jobs.events import Artifact, Checkpoint, Event, Log, encode
from workers import settings
from workers.archive import Archive
from workers.entries import decode, is_artifact, is_final
from workers.forkserver import Child
from workers.journal import Journal

CHUNK_BYTES = 1 << 16
LOOK_AT_CLOCK_S = 0.5
LONGEST_LINE = 1 << 16
KEPT_LINES = 200


@dataclass(frozen=True)
class End:
    """How a process ended: its exit status and the last lines that it printed."""

    code: int
    printed: list[str]


class Reader(threading.Thread):
    """Runs until the process has ended and everything it said is in the journal, which is then closed.

    `last_word` gives the final entry of a process that ended without one. `error` holds what kept the journal from
    being written; the process is killed then.
    """

    def __init__(self, child: Child, journal: Journal, archive: Archive, last_word: Callable[[End], Event]) -> None:
        super().__init__(name="reader", daemon=True)
        self.error: OSError | ValueError | None = None
        self.on_end: Callable[[], None] = lambda: None  # the process is gone
        self._child, self._journal, self._archive, self._last_word = child, journal, archive, last_word
        self._said, self._printed = b"", b""
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._has_final = False
        self._deadline = float("inf")
        self._ended = False

    def kill_after(self, seconds: float) -> None:
        """What has not ended by then is killed."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def run(self) -> None:
        try:
            self._read()
        except (OSError, ValueError) as error:
            self.error = error
            self._child.kill()
        finally:
            self._finish()

    def _finish(self) -> None:
        end = End(self._child.close(), list(self._lines))
        self.on_end()
        try:
            if self.error is None and not self._has_final:
                self._journal.append(encode(self._last_word(end)))
        except OSError as error:
            self.error = error
        finally:
            self._journal.close()

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.events, selectors.EVENT_READ, self._hear)
            selector.register(self._child.output, selectors.EVENT_READ, self._note)
            selector.register(self._child.process.sentinel, selectors.EVENT_READ, self._end)
            while not self._ended:
                for key, _ in selector.select(LOOK_AT_CLOCK_S):
                    if not key.data():
                        selector.unregister(key.fileobj)
                if time.monotonic() > self._deadline:
                    self._child.kill()
        self._drain()

    def _end(self) -> bool:
        self._ended = True
        return False

    def _drain(self) -> None:
        """What still lies in the pipes. What the process left running is killed first: it might hold them open."""
        self._child.kill_leftovers()
        for pipe, take in ((self._child.events, self._hear), (self._child.output, self._note)):
            os.set_blocking(pipe.fileno(), False)
            try:
                while take():
                    pass
            except BlockingIOError:
                continue
        self._note_last_line()

    def _catch_up(self) -> None:
        """What was printed before the last event: no log line may follow it. One chunk is all that a pipe can hold."""
        os.set_blocking(self._child.output.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            self._note()
        self._note_last_line()

    def _hear(self) -> bool:
        """Events. False at the end of the pipe."""
        chunk = os.read(self._child.events.fileno(), CHUNK_BYTES)
        whole, newline, rest = chunk.rpartition(b"\n")
        if newline:
            lines, self._said = self._said + whole + newline, rest
            self._keep(lines)
        else:
            self._said += chunk
        return bool(chunk)

    def _keep(self, lines: bytes) -> None:
        ends = any(is_final(line) for line in lines.splitlines(keepends=True))
        if ends:
            self._catch_up()
        for line in lines.splitlines(keepends=True):
            if is_artifact(line) and isinstance(event := decode(line), Checkpoint | Artifact):
                self._archive.put(event)
        self._journal.append(lines, urgent=ends)
        if ends:
            self._has_final = True
            self.kill_after(settings.STOP_GRACE_S)

    def _note(self) -> bool:
        """What it prints. False at the end of the pipe."""
        chunk = os.read(self._child.output.fileno(), CHUNK_BYTES)
        whole, newline, rest = chunk.rpartition(b"\n")
        if newline:
            lines, self._printed = self._printed + whole, rest
            self._note_lines(lines)
        else:
            self._printed = (self._printed + chunk)[-LONGEST_LINE:]
        return bool(chunk)

    def _note_last_line(self) -> None:
        printed, self._printed = self._printed, b""
        self._note_lines(printed)

    def _note_lines(self, printed: bytes) -> None:
        """As a terminal would leave them: of a progress bar that was drawn over and over, its last state."""
        lines = [
            line.rpartition("\r")[2] for line in printed.decode(errors="replace").replace("\r\n", "\n").split("\n")
        ]
        lines = [line[:LONGEST_LINE] for line in lines if line.strip()]
        self._lines.extend(lines)
        if lines and not self._has_final:
            self._journal.append(b"".join(encode(Log(message=line)) for line in lines))
