"""A free slot gets the best queued run: exactly once, and in exactly the order that the queue page shows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from tests.runs import scene
from webapp.runs import actions, queries
from webapp.runs.models import Attempt, Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


def drained(free: int = 1) -> list[int]:
    """Claims until nothing is left; the ids in the order of the claims."""
    order = []
    while attempt := scene.claim(free=free):
        order.append(attempt.run_id)
    return order


def test_a_claimed_run_is_starting_with_one_living_attempt_on_the_worker() -> None:
    run = scene.submit()
    worker = scene.worker(name="gpu-box", slots=2)

    attempt = actions.claim(worker, ["default"], [{"index": 1}])

    assert attempt is not None
    run.refresh_from_db()
    assert (run.status, attempt.run_id, attempt.number) == (Status.STARTING, run.id, 1)
    assert (attempt.worker_id, attempt.worker_name, attempt.devices) == (worker.id, "gpu-box", [{"index": 1}])
    assert run.started_at is not None and attempt.ended_at is None and attempt.resumed_from_step is None


def test_nothing_is_claimed_from_an_empty_queue() -> None:
    assert scene.claim() is None


def test_priority_goes_before_age() -> None:
    old = scene.submit()
    urgent = scene.submit(priority=5)
    low = scene.submit(priority=-5)
    assert drained() == [urgent.id, old.id, low.id]


def test_projects_take_turns() -> None:
    first = [scene.submit(scene.project("Alpha")) for _ in range(3)]
    second = [scene.submit(scene.project("Beta")) for _ in range(2)]
    assert drained() == [first[0].id, second[0].id, first[1].id, second[1].id, first[2].id]


def test_a_project_that_already_runs_waits_for_its_turn() -> None:
    busy = [scene.submit(scene.project("Alpha")) for _ in range(4)]
    assert [scene.claim().run_id, scene.claim().run_id] == [busy[0].id, busy[1].id]  # type: ignore[union-attr]
    late = [scene.submit(scene.project("Beta")) for _ in range(2)]
    assert drained() == [late[0].id, late[1].id, busy[2].id, busy[3].id]


def test_claims_follow_the_order_that_the_queue_shows() -> None:
    for place in range(12):
        scene.submit(scene.project(("Alpha", "Beta", "Gamma")[place % 5 % 3]), priority=place % 2)
    actions.move(Run.objects.get(pk=queries.queue_order("default")[7].pk), 2)
    while (order := list(queries.queue_order("default"))) != []:
        assert [run.position for run in order] == list(range(1, len(order) + 1))
        attempt = scene.claim()
        assert attempt is not None and attempt.run_id == order[0].id


def test_a_paused_queue_hands_out_nothing_until_it_is_resumed() -> None:
    run = scene.submit()
    actions.pause_queue("default")
    assert scene.claim() is None
    actions.resume_queue("default")
    assert drained() == [run.id]


def test_a_draining_worker_gets_nothing() -> None:
    scene.submit()
    worker = scene.worker()
    actions.drain(worker)
    assert actions.claim(worker, ["default"], [0]) is None
    actions.undrain(worker)
    assert actions.claim(worker, ["default"], [0]) is not None


def test_a_worker_gets_only_runs_of_the_queues_it_serves() -> None:
    scene.submit(queue="big")
    run = scene.submit(queue="small")
    worker = scene.worker(queues=["small"])
    attempt = actions.claim(worker, ["small"], [0])
    assert attempt is not None and attempt.run_id == run.id
    assert actions.claim(worker, ["small"], [0]) is None


def test_a_deleted_run_is_not_claimed() -> None:
    actions.delete(scene.submit())
    assert scene.claim() is None


def test_a_run_gets_as_many_devices_as_it_asks_for() -> None:
    run = scene.submit(changes={"gpus": 2})
    worker = scene.worker(slots=4)
    attempt = actions.claim(worker, ["default"], [3, 1, 0])
    assert attempt is not None and (attempt.run_id, attempt.devices) == (run.id, [3, 1])


def test_a_run_that_is_too_big_for_the_free_slots_is_stepped_over() -> None:
    scene.submit(changes={"gpus": 2})
    small = scene.submit()
    attempt = actions.claim(scene.worker(slots=2), ["default"], [0])
    assert attempt is not None and attempt.run_id == small.id


def test_a_big_run_that_waited_ten_minutes_reserves_one_worker_until_it_fits() -> None:
    big = scene.submit(changes={"gpus": 2})
    scene.submit()
    small_too = scene.submit()
    Run.objects.filter(pk=big.pk).update(queued_at=Now() - timedelta(minutes=11))
    first, second = scene.worker("first", slots=2), scene.worker("second", slots=2)

    assert actions.claim(first, ["default"], [0]) is None  # reserved: nothing behind it in the order
    elsewhere = actions.claim(second, ["default"], [0])  # the other worker goes on
    assert elsewhere is not None and elsewhere.run_id != big.id
    attempt = actions.claim(first, ["default"], [0, 1])
    assert attempt is not None and attempt.run_id == big.id
    attempt = actions.claim(first, ["default"], [0])
    assert attempt is not None and attempt.run_id == small_too.id


def test_a_reservation_ends_when_its_worker_drains() -> None:
    big = scene.submit(changes={"gpus": 2})
    Run.objects.filter(pk=big.pk).update(queued_at=Now() - timedelta(minutes=11))
    first, second = scene.worker("first", slots=2), scene.worker("second", slots=2)
    scene.submit()
    assert actions.claim(first, ["default"], [0]) is None
    actions.drain(first)
    assert actions.claim(second, ["default"], [0]) is None
    big.refresh_from_db()
    assert big.reserved_for_id == second.id


def test_a_worker_that_is_too_small_altogether_is_never_reserved() -> None:
    big = scene.submit(changes={"gpus": 4, "batch_size": 16})
    Run.objects.filter(pk=big.pk).update(queued_at=Now() - timedelta(minutes=11))
    small = scene.submit()
    attempt = actions.claim(scene.worker(slots=2), ["default"], [0])
    assert attempt is not None and attempt.run_id == small.id


def test_a_run_waits_for_the_run_whose_model_it_starts_from(tmp_path) -> None:
    base = scene.running()
    child = scene.submit(spec=scene.finetune_of(base.run), priority=9)
    assert scene.claim() is None
    assert queries.waits_for(child) == [base.run]
    scene.model(base, tmp_path)
    actions.finish(base, Status.SUCCEEDED, result={})
    assert drained() == [child.id]


def test_an_attempt_resumes_from_the_latest_complete_checkpoint(tmp_path) -> None:
    attempt = scene.running()
    scene.checkpoint(attempt, 40, tmp_path)
    actions.finish(attempt, Status.LOST)
    again = scene.claim()
    assert again is not None and (again.number, again.resumed_from_step) == (2, 40)


@pytest.mark.django_db(transaction=True)
def test_concurrent_claims_hand_out_every_run_once_and_in_order() -> None:
    for place in range(40):
        scene.submit(scene.project(("Alpha", "Beta")[place % 3 % 2]), priority=place % 3)
    expected = [run.id for run in queries.queue_order("default")]  # a claim moves nobody's turn
    worker = scene.worker(slots=8)

    def claim_all() -> list[int]:
        mine = []
        while attempt := actions.claim(worker, ["default"], [0]):
            mine.append(attempt.run_id)
        return mine

    lists = scene.in_threads([claim_all] * 8)

    assert sorted(run_id for ids in lists for run_id in ids) == sorted(expected)
    by_transaction = Attempt.objects.order_by(RawSQL("attempts.xmin::text::bigint", []))  # numbered at its first write
    assert list(by_transaction.values_list("run_id", flat=True)) == expected


@pytest.mark.django_db(transaction=True)
def test_a_cancel_and_a_claim_at_the_same_time_never_both_win() -> None:
    worker = scene.worker()
    for _ in range(20):
        run = scene.submit()
        scene.in_threads([lambda: actions.claim(worker, ["default"], [0]), lambda run=run: actions.cancel(run)])
        run.refresh_from_db()
        live = Attempt.objects.filter(run=run, ended_at=None).count()
        assert (run.status, live) in {(Status.CANCELLED, 0), (Status.CANCELLING, 1)}


@pytest.mark.django_db(transaction=True)
def test_a_run_that_somebody_is_editing_is_stepped_over_and_not_waited_for() -> None:
    from django.db import transaction

    edited, next_best = scene.submit(), scene.submit()
    worker = scene.worker()
    with transaction.atomic():
        Run.objects.select_for_update().get(pk=edited.pk)
        [attempt] = scene.in_threads([lambda: actions.claim(worker, ["default"], [0])])
    assert attempt.run_id == next_best.id


@pytest.mark.django_db(transaction=True)
def test_being_named_as_a_baseline_does_not_cost_a_run_its_turn() -> None:
    from django.db import transaction

    best, worker = scene.submit(), scene.worker()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM runs WHERE id = %s FOR KEY SHARE", [best.pk])  # as a foreign key does
        [attempt] = scene.in_threads([lambda: actions.claim(worker, ["default"], [0])])
    assert attempt.run_id == best.id
