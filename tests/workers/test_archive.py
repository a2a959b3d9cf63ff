"""Checkpoints and models on their way into the storage, while the training code goes on beside them."""

from __future__ import annotations

import shutil
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from gpu_jobs.events import Artifact, Checkpoint, Log
from webapp.runs import blobs
from webapp.runs.models import Blob
from workers.archive import Archive
from workers.database import Patience
from workers.entries import Stored, decode
from workers.journal import Journal

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as pool:
        yield pool
        pool.submit(lambda: connection.close()).result()


@pytest.fixture
def journal():
    journal = Journal(uuid.uuid4())
    yield journal
    journal.delete()


def folder(work_dir, name, **files):
    (work_dir / name).mkdir(parents=True)
    for file, text in files.items():
        (work_dir / name / file).write_text(text)


def stored(journal):
    return [entry for line in journal.lines() if isinstance(entry := decode(line), Stored)]


def test_a_checkpoint_is_stored_though_the_training_code_deletes_it_at_once(tmp_path, journal, pool):
    archive = Archive(tmp_path, journal, pool, Patience())
    folder(tmp_path, "checkpoints/step-4", model="weights", state="{}")
    blocked = threading.Event()
    pool.submit(blocked.wait)
    archive.put(Checkpoint(folder="checkpoints/step-4", step=4))
    shutil.rmtree(tmp_path / "checkpoints/step-4")
    blocked.set()
    archive.finish()
    (entry,) = stored(journal)
    assert (entry.kind, entry.folder, entry.step) == ("checkpoint", "checkpoints/step-4", 4)
    assert [path for path, _ in entry.files] == ["checkpoints/step-4/model", "checkpoints/step-4/state"]
    assert blobs.read(Blob.objects.get(pk=entry.files[0][1])) == b"weights"
    assert not list((tmp_path / ".archive").iterdir())


def test_a_single_file_is_an_artifact_without_a_folder(tmp_path, journal, pool):
    (tmp_path / "samples.txt").write_text("text")
    archive = Archive(tmp_path, journal, pool, Patience())
    archive.put(Artifact(path="samples.txt"))
    archive.finish()
    (entry,) = stored(journal)
    assert (entry.kind, entry.folder, [path for path, _ in entry.files]) == ("file", "", ["samples.txt"])


def test_of_the_checkpoints_that_wait_only_the_latest_two_are_kept(tmp_path, journal, pool):
    archive = Archive(tmp_path, journal, pool, Patience())
    blocked = threading.Event()
    pool.submit(blocked.wait)
    for step in range(1, 6):
        folder(tmp_path, f"checkpoints/step-{step}", model=str(step))
        archive.put(Checkpoint(folder=f"checkpoints/step-{step}", step=step))
    assert len(list((tmp_path / ".archive").iterdir())) == 2
    blocked.set()
    archive.finish()
    assert [entry.step for entry in stored(journal)] == [4, 5]
    assert archive.step == 5


def test_what_is_there_no_longer_is_passed_over(tmp_path, journal, pool):
    archive = Archive(tmp_path, journal, pool, Patience())
    archive.put(Checkpoint(folder="checkpoints/step-1", step=1))
    archive.finish()
    assert stored(journal) == []


def test_a_link_in_a_folder_is_not_followed(tmp_path, journal, pool):
    (tmp_path / "secret").write_text("secret")
    folder(tmp_path, "model", weights="weights")
    (tmp_path / "model" / "link").symlink_to(tmp_path / "secret")
    archive = Archive(tmp_path, journal, pool, Patience())
    archive.put(Artifact(path="model", kind="model"))
    archive.finish()
    assert [path for path, _ in stored(journal)[0].files] == ["model/weights"]


def test_a_path_out_of_the_work_folder_is_refused(tmp_path, journal, pool):
    with pytest.raises(ValueError, match=r"\.\."):
        Archive(tmp_path, journal, pool, Patience()).put(Artifact(path="../secret"))


def test_a_checkpoint_that_can_not_be_stored_is_a_warning_and_a_model_an_error(tmp_path, journal, pool, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blobs, "store", full)
    archive = Archive(tmp_path, journal, pool, Patience())
    folder(tmp_path, "checkpoints/step-4", model="weights")
    archive.put(Checkpoint(folder="checkpoints/step-4", step=4))
    archive.finish()
    (warning,) = [decode(line) for line in journal.lines()]
    assert isinstance(warning, Log)
    assert "No space left" in warning.message
    folder(tmp_path, "model", weights="weights")
    archive.put(Artifact(path="model", kind="model"))
    with pytest.raises(OSError, match="No space left"):
        archive.finish()
