"""Workers come, report that they live, drain and go."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from tests.runs import scene
from webapp.runs import actions, queries
from webapp.runs.models import Attempt, Queue, Worker
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


def silence(worker: Worker, seconds: float = 60) -> None:
    Worker.objects.filter(pk=worker.pk).update(heartbeat_at=Now() - timedelta(seconds=seconds))
    Attempt.objects.filter(worker=worker).update(heartbeat_at=Now() - timedelta(seconds=seconds))


def test_a_registered_worker_is_listed_and_its_queues_exist() -> None:
    worker = actions.register_worker(
        name="box",
        hostname="box.lan",
        pid=42,
        slots=2,
        queues=["a", "b"],
        devices=[{"index": 0, "name": "H200", "memory_bytes": 1}],
        versions={"torch": "2.13.0"},
    )
    assert [w.name for w in queries.workers()] == ["box"]
    assert (worker.slots, worker.queues, worker.versions) == (2, ["a", "b"], {"torch": "2.13.0"})
    assert {queue.name for queue in Queue.objects.all()} == {"a", "b"}


def test_a_second_living_worker_of_the_same_name_gets_a_number() -> None:
    names = [scene.worker("box").name for _ in range(3)]
    assert names == ["box", "box-2", "box-3"]


def test_a_dead_workers_name_is_taken_over_and_its_attempts_are_lost_at_once() -> None:
    attempt = scene.running()
    old = attempt.worker
    assert old is not None
    silence(old)
    new = scene.worker(old.name)
    assert new.name == old.name and new.pk != old.pk
    attempt.refresh_from_db()
    assert (attempt.status, attempt.worker_name, attempt.run.status) == (Status.LOST, old.name, Status.QUEUED)


def test_a_worker_that_stops_by_itself_frees_its_name_and_loses_what_it_holds() -> None:
    attempt = scene.running()
    assert attempt.worker is not None
    actions.unregister_worker(attempt.worker)
    attempt.refresh_from_db()
    assert attempt.status == Status.LOST
    assert scene.worker(attempt.worker.name).name == attempt.worker.name


def test_a_heartbeat_touches_the_worker_and_its_attempts() -> None:
    attempt = scene.running()
    assert attempt.worker is not None
    silence(attempt.worker)
    assert actions.heartbeat(attempt.worker, [attempt.pk]) == {attempt.pk: "run"}
    assert actions.reap(0.5, observed_since=float("-inf")) == []


def test_a_worker_that_was_taken_for_dead_lives_again_when_it_speaks() -> None:
    worker = scene.worker()
    silence(worker)
    actions.reap(20, observed_since=float("-inf"))
    worker.refresh_from_db()
    assert worker.stopped_at is not None
    actions.heartbeat(worker, [])
    worker.refresh_from_db()
    assert worker.stopped_at is None


def test_a_worker_whose_name_was_taken_meanwhile_registers_under_another() -> None:
    frozen = scene.worker("box")
    silence(frozen)
    new = scene.worker("box")
    actions.heartbeat(frozen, [])
    assert (new.name, frozen.name) == ("box", "box-2")
    assert Worker.objects.filter(stopped_at=None).count() == 2


def test_workers_are_listed_with_what_they_work_on() -> None:
    attempt = scene.running()
    done = scene.running(name="done")
    actions.finish(done, Status.SUCCEEDED, result={})
    [worker] = queries.workers()
    assert [live.run_id for live in worker.live] == [attempt.run_id]


def test_a_worker_that_stopped_long_ago_is_not_listed() -> None:
    living, gone = scene.worker("living"), scene.worker("gone")
    actions.unregister_worker(gone)
    assert [worker.name for worker in queries.workers()] == ["living", "gone"]
    Worker.objects.filter(pk=gone.pk).update(stopped_at=Now() - timedelta(hours=2))
    assert list(queries.workers()) == [living]


@pytest.mark.django_db(transaction=True)
def test_workers_that_register_at_the_same_time_get_different_names() -> None:
    names = [worker.name for worker in scene.in_threads([lambda: scene.worker("box")] * 5)]
    assert sorted(names) == ["box", "box-2", "box-3", "box-4", "box-5"]
