"""Silent attempts are lost and tried again; silence that nobody could break is none."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from tests.runs import scene
from webapp.runs import actions
from webapp.runs.actions import reaping
from webapp.runs.models import Attempt, Worker
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db

LONG_AGO = float("-inf")


def silence(attempt: Attempt, seconds: float = 60) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(heartbeat_at=Now() - timedelta(seconds=seconds))


def test_a_silent_attempt_is_lost_and_its_run_waits_again() -> None:
    attempt = scene.running()
    silence(attempt, 21)
    [run] = actions.reap(20, observed_since=LONG_AGO)
    attempt.refresh_from_db()
    assert (run.id, run.status, run.losses) == (attempt.run_id, Status.QUEUED, 1)
    assert (attempt.status, attempt.error_type) == (Status.LOST, "LostError") and attempt.ended_at is not None


def test_an_attempt_that_spoke_lately_is_left_alone() -> None:
    attempt = scene.running()
    silence(attempt, 15)
    assert actions.reap(20, observed_since=LONG_AGO) == []


def test_after_its_last_attempt_the_run_is_lost_and_says_what_to_do() -> None:
    run = scene.submit()
    for _ in range(run.max_attempts):
        attempt = scene.claim()
        assert attempt is not None
        silence(attempt)
        [run] = actions.reap(20, observed_since=LONG_AGO)
    assert run.status == Status.LOST and run.ended_at is not None
    assert "All 3 attempts were lost; requeue it" in run.error_message


@pytest.mark.parametrize(("asked", "ends"), [(actions.pause, Status.PAUSED), (actions.cancel, Status.CANCELLED)])
def test_a_stop_that_was_asked_for_is_granted(asked, ends) -> None:
    attempt = scene.running()
    asked(attempt.run)
    silence(attempt)
    assert [run.status for run in actions.reap(20, observed_since=LONG_AGO)] == [ends]


def test_a_silent_worker_is_listed_as_stopped() -> None:
    worker = scene.worker()
    Worker.objects.update(heartbeat_at=Now() - timedelta(seconds=30))
    actions.reap(20, observed_since=LONG_AGO)
    worker.refresh_from_db()
    assert worker.stopped_at is not None


def test_a_reaper_that_has_not_watched_as_long_as_the_silence_loses_nothing() -> None:
    attempt = scene.running()
    silence(attempt)
    assert actions.reap(20, observed_since=time.monotonic() - 19) == []
    assert len(actions.reap(20, observed_since=time.monotonic() - 21)) == 1


@pytest.fixture
def clock(monkeypatch):
    """A reaper that has just started, on a clock that the test moves."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(reaping, "_own", actions.Observation(lambda: Clock.now))
    return Clock


def ticks(clock, seconds: float) -> int:
    """Reaps every three seconds for a while; how many runs were lost."""
    lost = 0
    for _ in range(int(seconds / 3)):
        clock.now += 3
        lost += len(actions.reap(20))
    return lost


def test_a_reaper_that_has_just_started_waits_before_it_judges(clock) -> None:
    attempt = scene.running()
    silence(attempt)
    assert ticks(clock, 21) == 0
    assert ticks(clock, 6) == 1


def test_when_the_database_was_away_everybody_gets_time_to_speak_again(clock) -> None:
    speaks, dead = scene.running(), scene.running(name="other")
    ticks(clock, 60)
    clock.now += 60  # no tick came through: the database was away
    for attempt in (speaks, dead):
        silence(attempt, 60)
    assert ticks(clock, 3) == 0
    actions.heartbeat(speaks.worker, [speaks.pk])
    assert ticks(clock, 24) == 1
    speaks.refresh_from_db()
    dead.refresh_from_db()
    assert (speaks.status, dead.status) == (Status.RUNNING, Status.LOST)


def test_a_worker_that_dies_is_noticed_within_thirty_seconds(clock) -> None:
    attempt = scene.running()
    ticks(clock, 60)
    silence(attempt, 20.1)  # its last word, some 20 s ago
    assert ticks(clock, 3) == 1


@pytest.mark.django_db(transaction=True)
def test_two_reapers_at_once_lose_an_attempt_once() -> None:
    attempts = [scene.running(name=str(place)) for place in range(4)]
    for attempt in attempts:
        silence(attempt)
    lists = scene.in_threads([lambda: actions.reap(20, observed_since=LONG_AGO)] * 4)
    lost = [run.id for runs in lists for run in runs]
    assert sorted(lost) == sorted(attempt.run_id for attempt in attempts)
    assert set(Attempt.objects.values_list("run__losses", flat=True)) == {1}


@pytest.mark.django_db(transaction=True)
def test_a_reaper_and_a_finish_at_the_same_time_leave_one_clear_end() -> None:
    for _ in range(8):
        attempt = scene.running()
        silence(attempt)
        scene.in_threads(
            [
                lambda: actions.reap(20, observed_since=LONG_AGO),
                lambda attempt=attempt: actions.finish(attempt, Status.SUCCEEDED, result={}),
            ]
        )
        attempt.refresh_from_db()
        assert (attempt.status, attempt.run.status) in {
            (Status.SUCCEEDED, Status.SUCCEEDED),
            (Status.LOST, Status.QUEUED),
        }
        actions.cancel(attempt.run) if attempt.run.status == Status.QUEUED else None
