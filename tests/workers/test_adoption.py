"""What a killed worker left on disk: finished runs are finished, the others are lost at once and keep what was said."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from gpu_jobs.events import Artifact, Checkpoint, Metrics, Result, Started, encode
from tests.runs import scene
from webapp.metrics import queries
from webapp.runs import actions
from workers import adoption
from workers.database import Patience
from workers.ingest import Ingest
from workers.journal import Journal, leftovers
from workers.supervisor import work_dir_of

pytestmark = pytest.mark.django_db(transaction=True)
STARTED = Started(step=0, steps=3, facts={}, provenance={})


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as pool:
        yield pool
        pool.submit(lambda: connection.close()).result()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HONE_HOME", str(tmp_path))


def points(*steps):
    return [Metrics(step=step, values={"train/loss": 1 / step}) for step in steps]


def work_folder(attempt, name):
    folder = work_dir_of(attempt.run_id, attempt.pk) / name
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("weights")


def left_behind(attempt, *events, seen=0):
    """The journal of a worker that was killed when Postgres had seen the first `seen` of its entries."""
    journal = Journal(attempt.pk)
    journal.append(b"".join(map(encode, events[:seen])))
    journal.close()
    Ingest(attempt.pk, journal, Patience()).run()
    journal.append(b"".join(map(encode, events[seen:])))
    journal.release()


def test_a_run_that_had_finished_while_postgres_was_away_is_finished(pool):
    attempt = scene.claimed()
    work_folder(attempt, "model")
    said = [STARTED, *points(1, 2, 3), Artifact(path="model", kind="model"), Result(values={"quality": {}})]
    left_behind(attempt, *said, seen=3)
    adoption.adopt_all(pool)
    attempt.run.refresh_from_db()
    assert attempt.run.status == "succeeded"
    assert queries.raw(attempt.run_id, "train/loss").steps.tolist() == [1, 2, 3]
    assert attempt.run.artifacts.get().path == "model/model.safetensors"
    assert leftovers() == []
    assert not work_dir_of(attempt.run_id, attempt.pk).exists()


def test_a_run_without_a_last_word_is_queued_again_with_its_newest_checkpoint(pool):
    attempt = scene.claimed()
    work_folder(attempt, "checkpoints/step-2")
    left_behind(attempt, STARTED, *points(1, 2), Checkpoint(folder="checkpoints/step-2", step=2), *points(3), seen=2)
    adoption.adopt_all(pool)
    attempt.run.refresh_from_db()
    assert (attempt.run.status, attempt.run.losses) == ("queued", 1)
    following = scene.claim()
    assert following is not None
    assert following.resumed_from_step == 2


def test_the_journal_of_an_attempt_that_is_over_is_thrown_away(pool):
    attempt = scene.claimed()
    left_behind(attempt, STARTED, *points(1), Result(values={}), seen=2)
    actions.finish(attempt, "lost")
    adoption.adopt_all(pool)
    attempt.run.refresh_from_db()
    assert attempt.run.status == "queued"
    assert leftovers() == []


def test_the_journal_of_a_living_worker_is_left_alone(pool):
    attempt = scene.claimed()
    held = Journal(attempt.pk)
    adoption.adopt_all(pool)
    assert leftovers() == [attempt.pk]
    attempt.run.refresh_from_db()
    assert attempt.run.status == "starting"
    held.delete()


def test_a_work_folder_without_a_journal_is_removed(pool):
    attempt = scene.claimed()
    work_folder(attempt, "model")
    adoption.adopt_all(pool)
    assert not work_dir_of(attempt.run_id, attempt.pk).exists()
