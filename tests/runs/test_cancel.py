"""Cancelling: at once where nothing runs, by asking where something does."""

from __future__ import annotations

import pytest

from tests.runs import scene
from webapp.runs import actions
from webapp.runs.errors import WrongState
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


def wanted(attempt) -> str:
    return actions.heartbeat(attempt.worker, [attempt.pk])[attempt.pk]


def test_a_queued_run_is_cancelled_at_once() -> None:
    run = actions.cancel(scene.submit())
    assert run.status == Status.CANCELLED and run.ended_at is not None
    assert scene.claim() is None


def test_a_paused_run_is_cancelled_at_once() -> None:
    assert actions.cancel(actions.pause(scene.submit())).status == Status.CANCELLED


@pytest.mark.parametrize("make", [scene.claimed, scene.running])
def test_an_active_run_is_asked_to_stop_and_then_cancelled(make) -> None:
    attempt = make()
    assert wanted(attempt) == "run"
    run = actions.cancel(attempt.run)
    assert run.status == Status.CANCELLING and run.ended_at is None
    assert wanted(attempt) == "stop"

    run = actions.stopped(attempt, 17)
    attempt.refresh_from_db()
    assert (run.status, run.step, attempt.status) == (Status.CANCELLED, 17, Status.CANCELLED)
    assert run.ended_at is not None and attempt.ended_at is not None
    assert wanted(attempt) == "gone"


def test_a_run_that_is_pausing_can_still_be_cancelled() -> None:
    attempt = scene.running()
    actions.pause(attempt.run)
    assert actions.cancel(attempt.run).status == Status.CANCELLING
    assert actions.stopped(attempt, 5).status == Status.CANCELLED


def test_a_run_that_starts_running_after_it_was_cancelled_stays_cancelling() -> None:
    attempt = scene.claimed()
    actions.cancel(attempt.run)
    actions.started(attempt, {}, {}, 0, 100)
    attempt.run.refresh_from_db()
    assert attempt.run.status == Status.CANCELLING


def test_a_run_that_finishes_before_it_hears_of_the_cancel_has_succeeded() -> None:
    attempt = scene.running()
    actions.cancel(attempt.run)
    assert actions.finish(attempt, Status.SUCCEEDED, result={"quality": {}}).status == Status.SUCCEEDED


def test_a_cancelling_run_whose_process_dies_is_cancelled_and_not_tried_again() -> None:
    attempt = scene.running()
    actions.cancel(attempt.run)
    run = actions.finish(attempt, Status.LOST, error_type="Killed", error_message="it died")
    assert (run.status, run.losses) == (Status.CANCELLED, 0) and run.ended_at is not None


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (Status.SUCCEEDED, "is succeeded and can't be cancelled; it can be cloned"),
        (Status.FAILED, "is failed and can't be cancelled; it can be requeued or cloned"),
        (Status.CANCELLING, "is cancelling and can't be cancelled; wait until it has stopped"),
    ],
)
def test_elsewhere_cancelling_is_refused_with_what_is_possible(status, message) -> None:
    run = scene.submit()
    type(run).objects.filter(pk=run.pk).update(status=status)
    with pytest.raises(WrongState, match=message):
        actions.cancel(run)


def test_a_deleted_run_can_not_be_cancelled() -> None:
    run = scene.submit()
    actions.delete(run)
    with pytest.raises(WrongState, match="is deleted"):
        actions.cancel(run)


def test_an_external_run_is_cancelled_at_once() -> None:
    run = actions.create_external(project=scene.project(), user=None, name="x")
    assert actions.cancel(run).status == Status.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_of_many_who_cancel_at_once_one_does_and_the_others_are_told() -> None:
    attempt = scene.running()
    results = scene.in_threads([lambda: actions.cancel(type(attempt.run).objects.get(pk=attempt.run_id))] * 6)
    assert sorted(type(result).__name__ for result in results) == ["Run"] + ["WrongState"] * 5


@pytest.mark.django_db(transaction=True)
def test_a_cancel_and_a_finish_at_the_same_time_leave_one_clear_end() -> None:
    for _ in range(10):
        attempt = scene.running()
        run = attempt.run
        scene.in_threads(
            [
                lambda run=run: actions.cancel(type(run).objects.get(pk=run.pk)),
                lambda attempt=attempt: actions.finish(attempt, Status.SUCCEEDED, result={}),
            ]
        )
        run.refresh_from_db()
        attempt.refresh_from_db()
        assert (run.status, attempt.status) == (Status.SUCCEEDED, Status.SUCCEEDED)
