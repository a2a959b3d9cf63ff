"""Deleting hides a run at once and stops what works on it."""

from __future__ import annotations

import pytest
from django.db import transaction

from tests.runs import scene
from webapp.runs import actions, queries
from webapp.runs.errors import Gone
from webapp.runs.models import Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


def test_a_deleted_run_is_seen_no_more_but_not_gone() -> None:
    run = scene.submit()
    actions.delete(run)
    assert not queries.visible(scene.person()).filter(pk=run.pk).exists()
    assert run.deleted_at is not None and run.status == Status.CANCELLED


def test_a_deleted_result_keeps_its_state() -> None:
    attempt = scene.running()
    run = actions.finish(attempt, Status.SUCCEEDED, result={})
    ended_at = run.ended_at
    actions.delete(run)
    assert (run.status, run.ended_at) == (Status.SUCCEEDED, ended_at)


@pytest.mark.django_db(transaction=True)
def test_the_worker_of_a_deleted_run_is_told_that_it_is_gone_and_can_write_nothing() -> None:
    attempt = scene.running()
    actions.delete(attempt.run)
    assert actions.heartbeat(attempt.worker, [attempt.pk]) == {attempt.pk: "gone"}
    for write in (
        lambda: actions.progressed(attempt, 5),
        lambda: actions.logged(attempt, [actions.LogEntry(0.0, "info", "x")]),
        lambda: actions.stopped(attempt, 5),
        lambda: actions.finish(attempt, Status.SUCCEEDED, result={}),
        lambda: actions.lock(attempt.pk),
    ):
        with pytest.raises(Gone), transaction.atomic():
            write()
    attempt.refresh_from_db()
    assert attempt.status == Status.CANCELLED and attempt.ended_at is not None


def test_deleting_twice_changes_nothing() -> None:
    run = scene.submit()
    actions.delete(run)
    first = run.deleted_at
    actions.delete(run)
    assert run.deleted_at == first


def test_runs_that_wait_for_a_deleted_run_fail_and_say_why() -> None:
    base = scene.submit()
    child = scene.submit(spec=scene.finetune_of(base))
    grandchild = scene.submit(spec=scene.finetune_of(child))
    actions.delete(base)
    child, grandchild = Run.objects.get(pk=child.pk), Run.objects.get(pk=grandchild.pk)
    assert (child.status, child.error_type) == (Status.FAILED, "InputError")
    assert f"run {base.id}, was deleted" in child.error_message
    assert f"run {child.id}, ended as failed without a model" in grandchild.error_message


@pytest.mark.django_db(transaction=True)
def test_deleting_while_the_worker_reports_ends_in_neither_a_deadlock_nor_a_living_attempt() -> None:
    for _ in range(10):
        attempt = scene.running()
        results = scene.in_threads(
            [lambda run=attempt.run: actions.delete(run)]
            + [lambda step=step, attempt=attempt: actions.progressed(attempt, step) for step in range(4)]
        )
        assert {type(result) for result in results} <= {type(None), Gone}
        assert not attempt.run.attempts.filter(ended_at=None).exists()
