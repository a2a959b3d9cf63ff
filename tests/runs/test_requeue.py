"""Requeueing: what ended without success is tried again, with all its attempts."""

from __future__ import annotations

import pytest

from tests.runs import scene
from webapp.runs import actions
from webapp.runs.errors import WrongState
from webapp.runs.states import FINAL, Status

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", sorted(FINAL - {Status.SUCCEEDED, Status.LOST}))
def test_it_waits_again_clean_and_goes_on_from_its_checkpoint(status, tmp_path) -> None:
    attempt = scene.running()
    scene.checkpoint(attempt, 60, tmp_path)
    run = actions.finish(attempt, status, error_type="E", error_message="why")
    run = actions.requeue(run)
    assert (run.status, run.error_type, run.error_message, run.ended_at) == (Status.QUEUED, "", "", None)
    again = scene.claim()
    assert again is not None and (again.number, again.resumed_from_step) == (2, 60)


def test_a_lost_run_gets_all_its_attempts_again() -> None:
    run = scene.submit()
    for _ in range(2):
        for _ in range(run.max_attempts):
            attempt = scene.claim()
            assert attempt is not None
            run = actions.finish(attempt, Status.LOST)
        assert (run.status, run.losses) == (Status.LOST, run.max_attempts)
        run = actions.requeue(run)
        assert run.losses == 0


@pytest.mark.parametrize("status", sorted(set(Status) - (FINAL - {Status.SUCCEEDED})))
def test_elsewhere_requeueing_is_refused(status) -> None:
    run = scene.submit()
    type(run).objects.filter(pk=run.pk).update(status=status)
    with pytest.raises(WrongState, match="can't be requeued"):
        actions.requeue(run)


def test_a_hand_given_place_is_not_kept() -> None:
    run, other = scene.submit(), scene.submit()
    actions.move(run, 1)
    actions.cancel(run)
    assert actions.requeue(run).rank is None
    assert other.rank is None
