"""The garbage collector frees what nobody can reach, and nothing else, whatever happens meanwhile."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from tests.runs import scene
from webapp.runs import actions, blobs
from webapp.runs.actions import garbage
from webapp.runs.models import Artifact, Blob, Run, Worker
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def folder(tmp_path, settings) -> Path:
    settings.STORAGE_URL = f"file://{tmp_path / 'blobs'}"
    settings.STORAGES = {**settings.STORAGES}
    return tmp_path / "blobs"


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def age_blobs(days: float = 2) -> None:
    Blob.objects.update(touched_at=Now() - timedelta(days=days))


def deleted(days: float, run: Run) -> Run:
    actions.delete(run)
    Run.objects.filter(pk=run.pk).update(deleted_at=Now() - timedelta(days=days))
    return run


def stored(tmp_path: Path, content: bytes = b"bytes") -> Blob:
    (tmp_path / "f").write_bytes(content)
    return blobs.store(tmp_path / "f")


def test_a_long_deleted_run_goes_with_everything_of_it(tmp_path, folder) -> None:
    attempt = scene.running()
    scene.checkpoint(attempt, 5, tmp_path)
    actions.logged(attempt, [actions.LogEntry(0, "info", "x")])
    deleted(8, attempt.run)
    age_blobs()
    went = garbage.collect()
    assert (went.runs, went.blobs) == (1, 2) and went.bytes > 0
    assert not Run.objects.exists() and not Blob.objects.exists() and not files(folder)


def test_a_run_deleted_lately_stays(tmp_path, folder) -> None:
    attempt = scene.running()
    scene.checkpoint(attempt, 5, tmp_path)
    deleted(6, attempt.run)
    age_blobs()
    assert garbage.collect() == (0, 0, 0, 0)
    assert len(files(folder)) == 2


def test_a_deleted_run_that_an_unfinished_run_starts_from_stays(tmp_path) -> None:
    base = scene.running()
    scene.model(base, tmp_path)
    actions.finish(base, Status.SUCCEEDED, result={})
    child = scene.submit(spec=scene.finetune_of(base.run))
    attempt = scene.claim()
    assert attempt is not None and attempt.run_id == child.id
    deleted(30, base.run)
    assert garbage.collect().runs == 0
    actions.finish(attempt, Status.SUCCEEDED, result={})
    assert garbage.collect().runs == 1
    child.refresh_from_db()
    assert child.inputs.get().source is None and child.inputs.get().name == f"run:{base.run_id}"


def test_bytes_that_two_runs_share_stay_while_one_has_them(tmp_path, folder) -> None:
    blob = stored(tmp_path)
    first, second = scene.running(), scene.running(name="second")
    for attempt in (first, second):
        actions.add_artifacts(attempt, [actions.NewArtifact("f", blob)])
    age_blobs()
    deleted(8, first.run)
    assert garbage.collect()[:2] == (1, 0)
    deleted(8, second.run)
    assert garbage.collect()[:2] == (1, 1)
    assert files(folder) == set()


def test_unused_bytes_stay_for_a_day_because_their_artifact_may_be_on_its_way(tmp_path, folder) -> None:
    stored(tmp_path)
    assert garbage.collect().blobs == 0
    age_blobs(1.1)
    assert garbage.collect().blobs == 1


def test_storing_again_what_is_old_keeps_it(tmp_path, folder) -> None:
    stored(tmp_path)
    age_blobs()
    stored(tmp_path)
    assert garbage.collect().blobs == 0


def test_an_upload_keeps_its_bytes_until_it_is_deleted(folder) -> None:
    upload = actions.add_upload(project=scene.project(), user=None, name="x", chunks=[b"data"])
    age_blobs()
    assert garbage.collect().blobs == 0
    actions.delete_upload(upload)
    assert garbage.collect().blobs == 1


def test_bytes_without_a_row_go_when_they_are_a_day_old(tmp_path, folder) -> None:
    for content in (b"old", b"young"):
        stored(tmp_path, content)
    Blob.objects.all().delete()
    old = next(path for path in folder.rglob("*") if path.is_file() and path.read_bytes() == b"old")
    os.utime(old, (time.time() - 2 * 86_400,) * 2)
    (folder / "ab" / "cd").mkdir(parents=True, exist_ok=True)
    foreign = folder / "ab" / "cd" / "README"
    foreign.touch()
    os.utime(foreign, (0, 0))
    assert garbage.collect().blobs == 1
    assert not old.exists() and foreign.exists() and len(files(folder)) == 2


def test_half_written_files_of_killed_writers_go_after_a_day(tmp_path, folder) -> None:
    stored(tmp_path)
    stale, fresh = folder / ".incoming" / "stale", folder / ".incoming" / "fresh"
    for path in (stale, fresh):
        path.write_bytes(b"half")
    os.utime(stale, (time.time() - 2 * 86_400,) * 2)
    garbage.collect()
    assert not stale.exists() and fresh.exists()


def test_workers_gone_long_ago_are_forgotten_and_attempts_remember_their_name() -> None:
    attempt = scene.running()
    assert attempt.worker is not None
    actions.unregister_worker(attempt.worker)
    Worker.objects.update(stopped_at=Now() - timedelta(days=8))
    assert garbage.collect().workers == 1
    attempt.refresh_from_db()
    assert (attempt.worker, attempt.worker_name) == (None, "w")


def test_a_survey_says_beforehand_what_will_go_and_changes_nothing(tmp_path, folder) -> None:
    shared, attempts = stored(tmp_path), [scene.running(), scene.running(name="second")]
    for attempt in attempts:
        actions.add_artifacts(attempt, [actions.NewArtifact("f", shared)])
    actions.add_artifacts(attempts[0], [actions.NewArtifact("g", stored(tmp_path, b"its own"))])
    stored(tmp_path, b"nobody's")
    orphan = stored(tmp_path, b"without a row")
    Blob.objects.filter(pk=orphan.pk).delete()
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 2 * 86_400,) * 2)
    deleted(8, attempts[0].run)
    age_blobs()
    before = files(folder)
    would = garbage.survey()
    assert (files(folder), Run.objects.count(), Blob.objects.count()) == (before, 2, 3)
    assert would == (1, 3, len(b"its own" + b"nobody's" + b"without a row"), 0)
    assert garbage.collect() == would


@pytest.mark.django_db(transaction=True)
def test_an_artifact_that_is_being_added_saves_its_old_bytes(tmp_path, folder) -> None:
    """The row is inserted but not committed while the collector runs: it must not delete the bytes under it."""
    blob, attempt = stored(tmp_path), scene.running()
    age_blobs()
    with transaction.atomic():
        actions.add_artifacts(attempt, [actions.NewArtifact("f", blob)])
        connection.check_constraints()  # takes the foreign key's lock now; on its own it is taken at commit
        import threading

        counts: list[int] = []
        collector = threading.Thread(target=lambda: counts.extend(scene.in_threads([lambda: garbage.collect().blobs])))
        collector.start()
        time.sleep(0.3)
    collector.join()
    assert counts == [0] and len(files(folder)) == 1 and Blob.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_artifact_that_comes_too_late_is_refused_and_never_points_at_nothing(tmp_path, folder) -> None:
    blob, attempt = stored(tmp_path), scene.running()
    age_blobs()
    with pytest.raises(IntegrityError), transaction.atomic():
        actions.add_artifacts(attempt, [actions.NewArtifact("f", blob)])
        assert scene.in_threads([lambda: garbage.collect().blobs]) == [1]
    assert not Artifact.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_storing_and_collecting_the_same_bytes_at_once_never_leaves_a_row_without_bytes(tmp_path, folder) -> None:
    paths = []
    for place in range(4):
        paths.append(tmp_path / f"source-{place}")
        paths[-1].write_bytes(b"the same bytes")
    for _ in range(15):
        blobs.store(paths[0])
        age_blobs()
        results = scene.in_threads(
            [lambda path=path: blobs.store(path) for path in paths] + [lambda: garbage.collect().blobs] * 2
        )
        assert not [result for result in results if isinstance(result, Exception)]
        assert [b"".join(blobs.verified(blob)) for blob in Blob.objects.all()] == [b"the same bytes"]
