"""Pausing keeps a checkpoint; resuming puts the run back into the queue."""

from __future__ import annotations

import pytest

from tests.runs import scene
from webapp.runs import actions
from webapp.runs.errors import WrongState
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


def test_a_queued_run_is_paused_at_once_and_not_claimed() -> None:
    assert actions.pause(scene.submit()).status == Status.PAUSED
    assert scene.claim() is None


def test_a_running_run_is_paused_when_its_checkpoint_is_written_and_goes_on_from_it(tmp_path) -> None:
    attempt = scene.running()
    assert actions.pause(attempt.run).status == Status.PAUSING
    assert actions.heartbeat(attempt.worker, [attempt.pk]) == {attempt.pk: "stop"}
    scene.checkpoint(attempt, 30, tmp_path)
    run = actions.stopped(attempt, 30)
    assert (run.status, run.step, run.ended_at) == (Status.PAUSED, 30, None)
    assert scene.claim() is None

    assert actions.resume(run).status == Status.QUEUED
    again = scene.claim()
    assert again is not None
    assert (again.run_id, again.number, again.resumed_from_step) == (run.id, 2, 30)


def test_pauses_do_not_use_up_attempts(tmp_path) -> None:
    run = scene.submit()
    for step in range(1, 6):
        attempt = scene.claim()
        assert attempt is not None
        actions.pause(run)
        scene.checkpoint(attempt, step, tmp_path)
        run = actions.stopped(attempt, step)
        actions.resume(run)
    attempt = scene.claim()
    assert attempt is not None and attempt.number == 6
    assert actions.finish(attempt, Status.LOST).status == Status.QUEUED


def test_a_starting_run_can_be_paused() -> None:
    attempt = scene.claimed()
    actions.pause(attempt.run)
    assert actions.stopped(attempt, 0).status == Status.PAUSED


def test_a_pausing_run_whose_process_dies_is_paused() -> None:
    attempt = scene.running()
    actions.pause(attempt.run)
    assert actions.finish(attempt, Status.LOST).status == Status.PAUSED


@pytest.mark.parametrize("status", [Status.PAUSED, Status.PAUSING, Status.CANCELLING, Status.SUCCEEDED, Status.LOST])
def test_elsewhere_pausing_is_refused(status) -> None:
    run = scene.submit()
    type(run).objects.filter(pk=run.pk).update(status=status)
    with pytest.raises(WrongState, match="can't be paused"):
        actions.pause(run)


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.PAUSED}))
def test_only_a_paused_run_can_be_resumed(status) -> None:
    run = scene.submit()
    type(run).objects.filter(pk=run.pk).update(status=status)
    with pytest.raises(WrongState, match="can't be resumed"):
        actions.resume(run)
    run.refresh_from_db()
    assert run.status == status


def test_an_external_run_can_not_be_paused() -> None:
    run = actions.create_external(project=scene.project(), user=None, name="x")
    with pytest.raises(WrongState, match="can't be paused"):
        actions.pause(run)
