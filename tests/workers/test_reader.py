"""What a training process says and prints is in the journal when it has ended, however it ends."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpu_jobs.events import Event, Log, Metrics, Result
from tests.workers import jobs
from tests.workers.scene import wait_for
from workers.archive import Archive
from workers.database import Patience
from workers.entries import Lost, decode
from workers.forkserver import Child
from workers.journal import Journal
from workers.reader import End, Reader

context = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HONE_HOME", str(tmp_path))


class Reading:
    """A process and its reader. `end` is what the reader was told of its end, when the process had no last word.

    `late`: it reads only when the process has ended.
    """

    def __init__(self, job: Callable[..., None], *, late: bool = False) -> None:
        events, write_events = context.Pipe(duplex=False)
        output, write_output = context.Pipe(duplex=False)
        process = context.Process(target=job, args=(write_events, write_output))
        process.start()
        write_events.close()
        write_output.close()
        self.end: End | None = None
        self.journal = Journal(uuid.uuid4())
        archive = Archive(Path(), self.journal, ThreadPoolExecutor(1), Patience())
        self.reader = Reader(Child(process, events, output), self.journal, archive, self._last_word)
        if late:
            process.join()
        self.reader.start()

    def _last_word(self, end: End) -> Event:
        self.end = end
        return Lost(message="")

    def entries(self) -> list[Event]:
        """Everything, once the process has ended."""
        self.reader.join(30)
        assert not self.reader.is_alive()
        assert self.journal.closed
        return [decode(line) for line in self.journal.lines()]


def test_prints_are_log_lines_as_a_terminal_would_leave_them():
    entries = Reading(jobs.talkative).entries()
    logs = [entry.message for entry in entries if isinstance(entry, Log)]
    assert logs == ["Downloading 100%", "loaded", "a warning of a library", "its last words have no newline"]
    assert [type(entry) for entry in entries if not isinstance(entry, Log)] == [Metrics, Result]


def test_what_was_printed_before_the_result_is_kept_when_both_lie_in_their_pipes():
    reading = Reading(jobs.talkative, late=True)
    assert [type(entry) for entry in reading.entries()] == [*[Log] * 4, Metrics, Result]


def test_a_process_that_dies_in_mid_sentence_leaves_whole_events_and_a_last_word():
    reading = Reading(jobs.torn)
    entries = reading.entries()
    assert [type(entry) for entry in entries if not isinstance(entry, Log)] == [Metrics, Lost]
    assert reading.end is not None
    assert reading.end.code == 1
    assert reading.end.printed[-1] == "ZeroDivisionError: division by zero"


def test_what_a_process_leaves_running_is_killed_with_it():
    entries = Reading(jobs.leaves_a_child).entries()
    (pid,) = [int(entry.message) for entry in entries if isinstance(entry, Log)]
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or "zombie" in Path(f"/proc/{pid}/status").read_text(), 5)


def test_a_process_that_does_not_stop_is_killed_after_its_grace_period():
    reading = Reading(jobs.deaf)
    reading.journal.wait()
    reading.reader._child.ask_to_stop()
    reading.reader.kill_after(0.2)
    assert isinstance(reading.entries()[-1], Lost)
    assert reading.end is not None
    assert reading.end.code == -9
