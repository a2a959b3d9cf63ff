"""The journal keeps every entry in order, through the death of its worker."""

from __future__ import annotations

import threading
import uuid

import pytest

from workers.journal import Journal, leftovers


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HONE_HOME", str(tmp_path))


def test_line_n_is_read_once_with_sequence_n():
    journal = Journal(uuid.uuid4())
    journal.append(b'{"a":1}\n{"a":2}\n')
    assert journal.read() == [(1, b'{"a":1}\n'), (2, b'{"a":2}\n')]
    journal.append(b'{"a":3}\n')
    assert journal.read() == [(3, b'{"a":3}\n')]
    assert journal.read() == []


def test_a_line_longer_than_a_batch_is_read_whole():
    journal = Journal(uuid.uuid4())
    line = b"x" * (3 << 20) + b"\n"
    journal.append(line + b"y\n")
    assert b"".join(line for _, line in journal.read() + journal.read()) == line + b"y\n"


def test_a_torn_last_line_of_a_killed_worker_is_cut_off():
    attempt = uuid.uuid4()
    first = Journal(attempt)
    first.append(b"whole\n")
    first.append(b"torn")
    first.release()
    second = Journal(attempt)
    assert second.read() == [(1, b"whole\n")]
    second.append(b"next\n")
    assert second.read() == [(2, b"next\n")]


def test_a_journal_whose_worker_lives_is_not_taken():
    attempt = uuid.uuid4()
    held = Journal(attempt)
    with pytest.raises(BlockingIOError):
        Journal(attempt)
    held.release()
    assert leftovers() == [attempt]
    Journal(attempt).delete()
    assert leftovers() == []


def test_appends_of_many_threads_are_never_mixed():
    journal = Journal(uuid.uuid4())
    threads = [
        threading.Thread(target=lambda n=n: [journal.append(b"%d" % n * 50 + b"\n") for _ in range(200)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    lines = []
    while len(lines) < 800:
        journal.wait()
        lines += journal.read()
    assert [sequence for sequence, _ in lines] == list(range(1, 801))
    assert {line.strip() for _, line in lines} == {b"%d" % n * 50 for n in range(4)}


def test_a_reader_that_waits_is_told_that_nothing_more_will_come():
    journal = Journal(uuid.uuid4())
    threading.Timer(0.05, journal.close).start()
    assert journal.wait() is False
