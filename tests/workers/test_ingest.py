"""Entries of a journal reach Postgres in order and exactly once, also when the answer to a COMMIT is lost."""

from __future__ import annotations

import tempfile
import threading
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
from django.db import connection

from gpu_jobs.events import Event, Failed, Histograms, Log, Metrics, Phase, Result, Started, Stopped, encode
from tests.runs import scene
from tests.workers.unreliable import UnreliableProxy
from webapp.metrics import queries
from webapp.metrics.media import actions as media_actions
from webapp.metrics.models import MediaItem
from webapp.runs import actions
from webapp.runs.errors import Gone
from webapp.runs.models import LogLine
from workers import database, settings
from workers.database import Patience
from workers.entries import Lost
from workers.errors import GivenUp
from workers.ingest import Ingest
from workers.journal import Journal

pytestmark = pytest.mark.django_db(transaction=True)
STARTED = Started(step=0, steps=100, facts={"parameters": {"total": 1}}, provenance={"seed": 0})


@pytest.fixture
def attempt():
    return scene.claimed()


@pytest.fixture
def journal():
    journal = Journal(uuid.uuid4())
    yield journal
    journal.delete()


def points(*steps: int) -> list[Event]:
    return [Metrics(step=step, values={"train/loss": 1 / step, "train/lr": 0.1}) for step in steps]


def append(journal: Journal, *events: Event) -> None:
    journal.append(b"".join(map(encode, events)))


def losses(attempt) -> list[int]:
    return queries.raw(attempt.run_id, "train/loss").steps.tolist()


def test_everything_a_job_says_is_written(attempt, journal):
    append(journal, STARTED, Phase(name="train", step=0), *points(1, 2, 3), Log(message="hello"))
    append(journal, Phase(name="save", step=3, peak_memory_bytes=9), Result(values={"quality": {"eval/loss": 2.0}}))
    Ingest(attempt.pk, journal, Patience()).run()
    attempt.run.refresh_from_db()
    attempt.refresh_from_db()
    assert losses(attempt) == [1, 2, 3]
    assert (attempt.run.status, attempt.run.step, attempt.run.steps) == ("succeeded", 3, 100)
    assert attempt.run.result == {"quality": {"eval/loss": 2.0}}
    assert (attempt.sequence, attempt.last_step, attempt.status) == (8, 3, "succeeded")
    assert LogLine.objects.get(run=attempt.run).message == "hello"
    assert list(attempt.phases.values_list("name", "peak_memory_bytes")) == [("train", 9), ("save", None)]


def test_lost_answers_to_commits_neither_lose_nor_double_a_point(attempt, journal, monkeypatch):
    monkeypatch.setattr(settings, "BATCH_S", 0.02)
    monkeypatch.setattr(database, "WAITS_S", (0.01,))
    with tempfile.TemporaryDirectory() as folder:
        proxy = UnreliableProxy(Path(folder), Path(connection.settings_dict["HOST"]))
        monkeypatch.setitem(connection.settings_dict, "HOST", folder)
        proxy.lose_answers = 3
        ingest = threading.Thread(target=run_and_close, args=(Ingest(attempt.pk, journal, Patience()),), daemon=True)
        ingest.start()  # a thread of its own makes its own connection, through the proxy
        append(journal, STARTED)
        for step in range(1, 60):
            append(journal, *points(step), Log(message=str(step)))
            time.sleep(0.005)
        append(journal, Result(values={}))
        ingest.join(30)
        proxy.close()
    monkeypatch.undo()
    assert not ingest.is_alive()
    assert proxy.lost == 3
    assert losses(attempt) == list(range(1, 60))
    messages = LogLine.objects.filter(run=attempt.run).order_by("id").values_list("message", flat=True)
    assert list(messages) == [str(step) for step in range(1, 60)]
    attempt.run.refresh_from_db()
    assert attempt.run.status == "succeeded"


def run_and_close(ingest: Ingest) -> None:
    ingest.run()
    connection.close()


def test_a_journal_read_again_from_its_start_adds_nothing(attempt, journal):
    append(journal, STARTED, *points(1, 2))
    journal.close()
    Ingest(attempt.pk, journal, Patience()).run()
    path = journal.path.read_bytes()
    again = Journal(uuid.uuid4())
    again.append(path + encode(points(3)[0]))
    again.close()
    Ingest(attempt.pk, again, Patience()).run()
    again.delete()
    assert losses(attempt) == [1, 2, 3]


def test_what_is_appended_before_the_final_entry_counts_before_it(attempt, journal):
    append(journal, STARTED, *points(1), Result(values={}))
    ingest = Ingest(attempt.pk, journal, Patience(), lambda: append(journal, *points(2)))
    ingest.run()
    assert losses(attempt) == [1, 2]
    attempt.run.refresh_from_db()
    assert attempt.run.status == "succeeded"


def test_an_attempt_that_is_over_for_others_writes_nothing_more(attempt, journal):
    append(journal, STARTED, *points(1))
    actions.finish(attempt, "lost")
    with pytest.raises(Gone):
        Ingest(attempt.pk, journal, Patience()).run()
    assert queries.names(attempt.run_id) == []


@pytest.mark.parametrize(
    ("last", "status", "error"),
    [
        (Failed(outcome="out_of_memory", error="OutOfMemoryError", message="too big"), "out_of_memory", "too big"),
        (Failed(outcome="diverged", error="Diverged", message="NaN at step 3"), "diverged", "NaN at step 3"),
        (Failed(outcome="failed", error="DataError", message="no column"), "failed", "no column"),
        (Stopped(step=4), "queued", ""),
        (Lost(message="killed"), "queued", ""),
    ],
)
def test_each_last_word_ends_the_run_in_its_state(attempt, journal, last, status, error):
    append(journal, STARTED, last)
    Ingest(attempt.pk, journal, Patience()).run()
    attempt.run.refresh_from_db()
    assert (attempt.run.status, attempt.run.error_message) == (status, error)
    assert attempt.run.losses == (1 if isinstance(last, Lost) else 0)


def test_values_that_are_no_numbers_arrive(attempt, journal):
    append(journal, STARTED, Metrics(step=1, values={"train/loss": float("nan"), "train/lr": float("inf")}))
    journal.close()
    Ingest(attempt.pk, journal, Patience()).run()
    assert str(queries.raw(attempt.run_id, "train/loss").values[0]) == "nan"
    assert queries.raw(attempt.run_id, "train/lr").values[0] == float("inf")


def test_a_worker_that_stops_waits_for_postgres_no_longer_than_its_grace_period(attempt, journal, monkeypatch):
    append(journal, STARTED)
    patience = Patience()
    patience.limit(0.2)
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", tempfile.gettempdir())
    with pytest.raises(GivenUp):
        Ingest(attempt.pk, journal, patience).run()


def drawn(*steps: int) -> list[Event]:
    bins = {"low": -1.0, "high": 1.0, "counts": [1, 2, 3, 4]}
    return [Histograms(step=step, values={"weights/a": bins, "gradients/a": bins}) for step in steps]


def test_histograms_are_items_of_media_once(attempt, journal):
    append(journal, STARTED, *points(1, 2), *drawn(1, 2))
    journal.close()
    Ingest(attempt.pk, journal, Patience()).run()
    again = Journal(uuid.uuid4())
    again.append(journal.path.read_bytes() + encode(drawn(3)[0]))
    again.close()
    Ingest(attempt.pk, again, Patience()).run()
    again.delete()
    items = MediaItem.objects.filter(run=attempt.run).order_by("name", "step")
    assert list(items.values_list("name", "step")) == [
        (name, step) for name in ("gradients/a", "weights/a") for step in (1, 2, 3)
    ]
    some = items[0]
    assert np.frombuffer(some.edges).tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert (some.kind, np.frombuffer(some.counts).tolist()) == ("histogram", [1.0, 2.0, 3.0, 4.0])


def test_a_run_with_too_many_histograms_goes_on_and_says_so(attempt, journal, monkeypatch):
    monkeypatch.setattr(media_actions, "MOST_ITEMS", 2)
    append(journal, STARTED, *points(1), *drawn(1, 2, 3), Result(values={}))
    Ingest(attempt.pk, journal, Patience()).run()
    attempt.run.refresh_from_db()
    assert (attempt.run.status, losses(attempt)) == ("succeeded", [1])
    [line] = LogLine.objects.filter(run=attempt.run)
    assert line.level == "warning" and "has 2 items already" in line.message
    assert not MediaItem.objects.filter(run=attempt.run).exists()
