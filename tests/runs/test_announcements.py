"""Every change of a run is told to its page and to the tables once it is committed; a dead Redis fails no change."""

from __future__ import annotations

import json
import time

import pytest
import redis
from django.conf import settings as configured
from django.db import transaction

from gpu_jobs.events import Phase
from tests.runs import scene
from webapp.runs import actions, news, tickets
from webapp.runs.models import Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def wire():
    """The session's Redis, with the stream of all runs emptied (ids of runs are never used twice)."""
    client = redis.Redis.from_url(configured.REDIS_URL, decode_responses=True)
    client.delete(news.key_of("all"))
    return client


def told(wire, key) -> list[tuple[str, dict]]:
    entries = wire.xrange(news.key_of(key))
    return [(fields["type"], json.loads(fields["data"])) for _, fields in entries]


def statuses(wire, run: Run) -> list[str]:
    return [data["status"] for kind, data in told(wire, run.pk) if kind == "state"]


def test_a_run_tells_every_state_it_passes_through(wire, tmp_path) -> None:
    attempt = scene.running()
    run = attempt.run
    actions.pause(run)
    scene.checkpoint(attempt, 7, tmp_path)
    actions.stopped(attempt, 7)
    actions.resume(run)
    again = scene.claim()
    assert again is not None
    actions.started(again, {}, {}, 7, 100)
    actions.finish(again, Status.FAILED, error_type="DataError", error_message="no rows")
    expected = ["queued", "starting", "running", "pausing", "paused", "queued", "starting", "running", "failed"]
    assert statuses(wire, run) == expected
    assert [data["status"] for kind, data in told(wire, "all") if kind == "state"] == expected
    assert told(wire, run.pk)[-1] == (
        "state",
        {
            "run": run.pk,
            "status": "failed",
            "step": 7,
            "steps": 100,
            "phase": "",
            "error": {"type": "DataError", "message": "no rows"},
        },
    )
    last = told(wire, "all")[-1][1]
    assert {key: last[key] for key in ("run", "project", "status", "step", "steps")} == {
        "run": run.pk,
        "project": "alpha",
        "status": "failed",
        "step": 7,
        "steps": 100,
    }


def test_logs_artifacts_phases_and_progress_are_told(wire, tmp_path) -> None:
    attempt = scene.running()
    actions.logged(attempt, [actions.LogEntry(12.5, "warning", "careful")])
    scene.model(attempt, tmp_path)
    actions.entered_phase(attempt, Phase(name="train", step=0))
    actions.progressed(attempt, 1)
    items = told(wire, attempt.run_id)
    assert ("artifacts", {}) in items
    [(_, log)] = [item for item in items if item[0] == "log"]
    assert [(line["at"], line["level"], line["message"]) for line in log["lines"]] == [(12.5, "warning", "careful")]
    assert items[-1][1]["phase"] == "train" and items[-1][1]["step"] == 1


def test_progress_is_told_at_most_twice_a_second(wire) -> None:
    attempt = scene.running()
    before = len(told(wire, attempt.run_id))
    for step in range(1, 20):
        actions.progressed(attempt, step)
    assert len(told(wire, attempt.run_id)) - before <= 3


def test_what_is_rolled_back_is_not_told(wire) -> None:
    run = scene.submit()
    with pytest.raises(RuntimeError), transaction.atomic():
        actions.cancel(run)
        raise RuntimeError
    assert statuses(wire, run) == ["queued"]


def test_edits_moves_and_deletions_reach_the_tables(wire) -> None:
    run, other = scene.submit(), scene.submit()
    for change in (lambda: actions.update(run, name="x"), lambda: actions.move(other, 1), lambda: actions.delete(run)):
        before = len(told(wire, "all"))
        change()
        assert len(told(wire, "all")) == before + 1


def test_workers_and_queues_are_told_to_everybody(wire) -> None:
    worker = scene.worker()
    actions.drain(worker)
    actions.pause_queue("default")
    actions.resume_queue("default")
    assert told(wire, "all") == [
        ("worker", {"worker": worker.pk, "name": "w"}),
        ("worker", {"worker": worker.pk, "name": "w"}),
        ("queue", {"queue": "default", "paused": True}),
        ("queue", {"queue": "default", "paused": False}),
    ]


def test_with_redis_away_a_whole_life_goes_on(settings, tmp_path) -> None:
    settings.REDIS_URL = f"unix://{tmp_path}/nothing.sock"
    settings.CELERY_BROKER_URL = f"redis+socket://{tmp_path}/nothing.sock"
    news._publisher.cache_clear()
    tickets._sender.cache_clear()
    try:
        began = time.monotonic()
        attempt = scene.running()
        scene.checkpoint(attempt, 3, tmp_path)
        actions.finish(attempt, Status.LOST)
        again = scene.claim()
        assert again is not None
        actions.cancel(again.run)
        actions.stopped(again, 3)
        assert Run.objects.get(pk=attempt.run_id).status == Status.CANCELLED
        assert time.monotonic() - began < 10
    finally:
        news._publisher.cache_clear()
        tickets._sender.cache_clear()
