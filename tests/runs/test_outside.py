"""External runs: made once for each key, lost when their program falls silent, and back when it is heard again."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from tests.runs import scene
from webapp.accounts.errors import Invalid
from webapp.runs import actions
from webapp.runs.errors import TooLarge, WrongState
from webapp.runs.models import Artifact, Outside, Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db

LONG_AGO = float("-inf")


def external(key: str | None = None, name: str = "outside", **spec: object) -> Run:
    return actions.create_external(project=scene.project(), user=None, name=name, spec=dict(spec), key=key)


def silence(run: Run, seconds: float) -> None:
    Outside.objects.filter(run=run).update(heard_at=Now() - timedelta(seconds=seconds))


def reap() -> list[int]:
    return [run.pk for run in actions.reap(20, observed_since=LONG_AGO, external_silent_s=300)]


def test_the_same_request_with_the_same_key_makes_one_run() -> None:
    assert external("k", lr=0.1).pk == external("k", lr=0.1).pk
    assert external("other", lr=0.1).pk != external("k", lr=0.1).pk
    assert external(lr=0.1).pk != external(lr=0.1).pk
    assert Run.objects.count() == 4


def test_a_key_that_made_another_run_is_refused() -> None:
    external("k", lr=0.1)
    with pytest.raises(Invalid, match="another run") as caught:
        external("k", lr=0.2)
    assert caught.value.errors[0]["loc"] == ["Idempotency-Key"]


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", "é"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(Invalid, match="printable ASCII"):
        external(key)


@pytest.mark.django_db(transaction=True)
def test_many_at_once_make_one_run() -> None:
    project, made, together = scene.project(), [], threading.Barrier(6)

    def create() -> None:
        try:
            together.wait()
            made.append(actions.create_external(project=project, user=None, name="outside", key="k").pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6 and set(made) == {Run.objects.get().pk}


def test_a_program_that_never_sent_a_heartbeat_is_never_silent() -> None:
    run = external()
    assert reap() == []
    run.refresh_from_db()
    assert run.status == Status.RUNNING


def test_a_program_that_fell_silent_is_lost_and_goes_on_when_it_is_heard() -> None:
    run = external()
    actions.heard(run)
    silence(run, 299)
    assert reap() == []
    silence(run, 301)
    assert reap() == [run.pk]
    run.refresh_from_db()
    assert (run.status, run.error_type) == (Status.LOST, "LostError") and run.ended_at is not None
    assert actions.heard(run).status == Status.RUNNING
    assert (run.ended_at, run.error_type, run.error_message) == (None, "", "")


def test_silence_counts_only_for_who_has_watched_so_long() -> None:
    import time

    run = external()
    actions.heard(run)
    silence(run, 1000)
    assert actions.reap(20, observed_since=time.monotonic() - 100, external_silent_s=300) == []


def test_a_heartbeat_does_not_wake_a_run_that_was_cancelled() -> None:
    run = external()
    actions.cancel(run)
    assert actions.heard(run).status == Status.CANCELLED


def test_a_lost_run_can_be_ended_by_its_program() -> None:
    run = external()
    actions.heard(run)
    silence(run, 1000)
    reap()
    assert actions.finish_external(run, "succeeded").status == Status.SUCCEEDED
    assert run.error_type == ""


def test_only_external_runs_are_fed_from_outside() -> None:
    run = scene.submit()
    for act in (lambda: actions.heard(run), lambda: actions.add_file(run, "a", [b""])):
        with pytest.raises(WrongState, match="only runs of kind external"):
            act()


def test_a_file_is_kept_and_replaced() -> None:
    run = external()
    first = actions.add_file(run, "plots/a.txt", [b"one"])
    second = actions.add_file(run, "plots/a.txt", [b"t", b"wo"])
    assert (first.pk, first.blob.size) == (second.pk, 3)
    assert Artifact.objects.get(run=run).blob_id == second.blob_id
    assert second.type == Artifact.Type.FILE


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../a", "a/../b", "a//b", "C:/a", "a\\b", "a\x00b", "x" * 401])
def test_a_path_that_leads_out_of_the_run_is_refused(path: str) -> None:
    with pytest.raises(Invalid) as caught:
        actions.add_file(external(), path, [b"bytes"])
    assert caught.value.errors[0]["loc"] == ["path"]
    assert not Artifact.objects.exists()


def test_a_file_beyond_the_limit_is_refused(settings) -> None:
    settings.MAX_UPLOAD_BYTES = 10
    with pytest.raises(TooLarge):
        actions.add_file(external(), "a", [b"12345"] * 3)
    assert not Artifact.objects.exists()


def test_a_run_that_has_ended_takes_no_file() -> None:
    run = external()
    actions.finish_external(run, "succeeded")
    with pytest.raises(WrongState, match="has ended"):
        actions.add_file(run, "a", [b""])
