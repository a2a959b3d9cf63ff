"""The garbage collector and media, keys and series: what is in use stays, beside writers too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from tests.metrics import pictures
from tests.metrics.runs import make_run
from webapp.accounts.models import Project
from webapp.metrics import garbage, keys, queries, store
from webapp.metrics.actions import log_external
from webapp.metrics.media import items
from webapp.metrics.media.actions import log_media
from webapp.metrics.media.queries import items_of
from webapp.metrics.models import PointsKey, Series
from webapp.metrics.points import Points
from webapp.runs import actions, blobs
from webapp.runs.models import Blob, Run

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.STORAGE_URL = f"file://{tmp_path / 'blobs'}"
    settings.STORAGES = {**settings.STORAGES}
    return tmp_path / "blobs"


def age_blobs() -> None:
    Blob.objects.update(touched_at=Now() - timedelta(days=2))


def deleted(run: Run, days: float = 8) -> Run:
    actions.delete(actions.cancel(run))
    Run.objects.filter(pk=run.pk).update(deleted_at=Now() - timedelta(days=days))
    return run


def picture(step: int, grey: int = 1) -> items.NewItem:
    return items.image("a", pictures.png(2, 2, grey), step=step)


def in_threads(*calls: Callable[[], Any]) -> list[Any]:
    """What each call gave, or raised."""
    results: list[Any] = []

    def run(call: Callable[[], Any]) -> None:
        try:
            results.append(call())
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_picture_keeps_its_bytes_until_another_takes_its_place(run: Run) -> None:
    log_media(run, [picture(1, grey=1)])
    age_blobs()
    assert garbage.collect(WEEK).blobs == 0
    log_media(run, [picture(1, grey=2)])
    age_blobs()
    assert garbage.survey(WEEK).blobs == 1
    assert garbage.collect(WEEK).blobs == 1
    [item] = items_of(run.pk, "a")
    assert item.blob is not None and blobs.read(item.blob) == pictures.png(2, 2, 2)


def test_a_survey_is_what_then_goes_of_a_deleted_run(run: Run, folder: Path) -> None:
    kept = make_run()
    log_media(run, [picture(1, grey=1), picture(2, grey=2)])
    log_media(kept, [picture(1, grey=1)])
    log_external(run, {"loss": {"value": [1.0] * 9000}})
    with transaction.atomic():
        store.lock(run.pk, ["empty"])
        store.lock(kept.pk, ["empty"])
        assert keys.claim(run.pk, "old", b"", 0) is None and keys.claim(kept.pk, "old", b"", 0) is None
        assert keys.claim(kept.pk, "young", b"", 0) is None
    PointsKey.objects.filter(key="old").update(created_at=Now() - timedelta(days=2))
    deleted(run)
    age_blobs()
    would = garbage.survey(WEEK)
    assert Run.objects.count() == 2 and len([path for path in folder.rglob("*") if path.is_file()]) == 2
    went = garbage.collect(WEEK)
    assert went == would and would == garbage.Collected(1, would.point_bytes, 1, len(pictures.png(2, 2, 2)), 1, 1, 0)
    assert would.point_bytes > 0, "repeated values pack well, but not to nothing"
    assert garbage.collect(WEEK) == garbage.survey(WEEK) == (0,) * 7
    assert [found.key for found in PointsKey.objects.all()] == ["young"]
    assert not Series.objects.filter(run=kept).exists()


def test_a_series_that_has_points_stays_and_an_empty_one_is_made_anew(run: Run) -> None:
    log_external(run, {"loss": {"value": [1.0]}})
    with transaction.atomic():
        store.append(run.pk, {"later": Points.of([5], [1.0], [1.0])})
        store.rewind(run.pk, 3)
    assert garbage.collect(WEEK).series == 1
    assert queries.names(run.pk) == ["loss"]
    log_external(run, {"later": {"value": [2.0]}})
    assert queries.raw(run.pk, "later").values.tolist() == [2.0]


def test_with_a_project_only_its_own_goes(run: Run) -> None:
    other = Run.objects.create(
        project=Project.objects.create(slug="other", name="Other"), name="b", kind="external", status="running",
        queue_id="default",
    )  # fmt: skip
    for one in (run, other):
        with transaction.atomic():
            store.lock(one.pk, ["empty"])
            keys.claim(one.pk, "old", b"", 0)
    PointsKey.objects.update(created_at=Now() - timedelta(days=2))
    deleted(run), deleted(other)
    went = garbage.collect(WEEK, other.project)
    assert (went.runs, went.keys, went.series) == (1, 0, 0), "its key and its series went with it"
    assert [found.pk for found in Run.objects.all()] == [run.pk]
    assert Series.objects.filter(run=run).exists() and PointsKey.objects.filter(run=run).exists()


def test_the_command_says_what_went_and_refuses_what_it_cannot_read(run: Run) -> None:
    deleted(run, days=2)
    out = StringIO()
    for options in ({"dry_run": True}, {}):
        call_command("collect_garbage", older_than="36h", stdout=out, **options)
    told = "1 runs with 0.0 MB of points, 0 blobs (0.0 MB), 0 expired keys, 0 empty series and 0 gone workers.\n"
    assert out.getvalue() == f"Would delete {told}Deleted {told}"
    for wrong in ("-1", "7 days", "d", "1e3d", ""):
        with pytest.raises(CommandError, match="--older-than must be"):
            call_command("collect_garbage", older_than=wrong)
    with pytest.raises(CommandError, match="there is no 'nowhere'"):
        call_command("collect_garbage", project="nowhere")


@pytest.mark.django_db(transaction=True)
def test_a_series_that_a_writer_has_locked_is_left_alone() -> None:
    run = make_run()
    with transaction.atomic():
        store.lock(run.pk, ["loss"])
    with transaction.atomic():
        rows = store.lock(run.pk, ["loss"])
        assert [went.series for went in in_threads(lambda: garbage.collect(WEEK))] == [0]
        store.append(run.pk, {"loss": Points.of([1], [2.0], [3.0])}, rows)
    assert queries.raw(run.pk, "loss").values.tolist() == [2.0]


@pytest.mark.django_db(transaction=True)
def test_writers_and_collectors_at_once_lose_no_point_and_no_picture() -> None:
    run, rounds = make_run(), 12

    def log_points() -> None:
        for step in range(rounds):
            with transaction.atomic():
                store.append(run.pk, {"loss": Points.of([2 * step, 2 * step + 1], [1.0, 2.0], [1.0, 1.0])})
            with transaction.atomic():
                store.append(run.pk, {"again": Points.of([1], [float(step)], [1.0])})
                store.rewind(run.pk, 2 * rounds)
            with transaction.atomic():
                store.append(run.pk, {"gone": Points.of([10**6], [1.0], [1.0])})
            with transaction.atomic():
                store.rewind(run.pk, 10**5)

    def log_pictures() -> None:
        for step in range(rounds):
            kept = False
            while not kept:  # bytes that are aged and collected between their storing and their row: it is refused
                with suppress(IntegrityError):
                    kept = bool(log_media(run, [picture(step % 3, grey=step % 2)]))

    def collect() -> None:
        for _ in range(rounds):
            age_blobs()
            garbage.collect(WEEK)

    results = in_threads(log_points, log_pictures, log_pictures, collect, collect)
    assert results == [None] * 5
    assert queries.raw(run.pk, "loss").steps.tolist() == list(range(2 * rounds))
    assert queries.raw(run.pk, "again").values.tolist() == [rounds - 1]
    for item in items_of(run.pk, "a"):
        assert item.blob is not None and blobs.read(item.blob) in (pictures.png(2, 2, 0), pictures.png(2, 2, 1))
