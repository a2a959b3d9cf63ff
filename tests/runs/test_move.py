"""Reordering by hand."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runs import scene
from webapp.runs import actions, queries
from webapp.runs.errors import Invalid, WrongState
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


def order() -> list[int]:
    return [run.pk for run in queries.queue_order("default")]


def test_a_run_moves_to_the_front_and_to_the_back() -> None:
    a, b, c = (scene.submit() for _ in range(3))
    actions.move(c, 1)
    assert order() == [c.pk, a.pk, b.pk]
    actions.move(c, 3)
    assert order() == [a.pk, b.pk, c.pk]


def test_moving_within_its_priority_keeps_it() -> None:
    high = scene.submit(priority=5)
    a, b = scene.submit(), scene.submit()
    assert actions.move(b, 2).priority == 0
    assert order() == [high.pk, b.pk, a.pk]


def test_moving_before_a_higher_priority_takes_that_priority() -> None:
    high = scene.submit(priority=5)
    a = scene.submit()
    assert actions.move(a, 1).priority == 5
    assert order() == [a.pk, high.pk]


def test_moving_behind_a_lower_priority_takes_that_priority() -> None:
    a, low = scene.submit(), scene.submit(priority=-3)
    assert actions.move(a, 2).priority == -3
    assert order() == [low.pk, a.pk]


def test_new_runs_line_up_behind_those_in_hand_given_order() -> None:
    a, b, c = (scene.submit() for _ in range(3))
    actions.move(b, 1)
    actions.move(a, 2)
    d = scene.submit(scene.project("Beta"))
    assert order() == [b.pk, a.pk, d.pk, c.pk]  # behind the move, projects go on taking turns


@pytest.mark.parametrize("position", [0, -1, 3])
def test_a_position_outside_the_queue_is_refused(position) -> None:
    scene.submit()
    run = scene.submit()
    with pytest.raises(Invalid, match=f"between 1 and 2, not {position}"):
        actions.move(run, position)


def test_only_a_queued_run_has_a_place() -> None:
    run = scene.submit()
    actions.pause(run)
    with pytest.raises(WrongState, match="can't be moved"):
        actions.move(run, 1)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_after_any_moves_the_run_stands_where_it_was_put_and_what_is_before_it_keeps_its_order(data) -> None:
    Run.objects.all().delete()
    projects = [scene.project(name) for name in ("Alpha", "Beta", "Gamma")]
    for _ in range(data.draw(st.integers(1, 7), "runs")):
        scene.submit(data.draw(st.sampled_from(projects)), priority=data.draw(st.integers(-1, 1)))
    for _ in range(data.draw(st.integers(1, 4), "moves")):
        expected = order()
        run_id = data.draw(st.sampled_from(expected))
        position = data.draw(st.integers(1, len(expected)))
        expected.remove(run_id)
        moved = actions.move(Run.objects.get(pk=run_id), position)
        after = order()
        assert after[position - 1] == run_id
        assert sorted(after[: position - 1]) == sorted(expected[: position - 1])
        same_priority = set(Run.objects.filter(priority=moved.priority).values_list("pk", flat=True))
        before = [other for other in expected[: position - 1] if other in same_priority]
        assert [other for other in after[: position - 1] if other in same_priority] == before


@pytest.mark.django_db(transaction=True)
def test_a_move_and_claims_at_the_same_time_lose_nothing() -> None:
    from webapp.runs.models import Attempt

    runs = [scene.submit() for _ in range(10)]
    worker = scene.worker(slots=4)
    scene.in_threads(
        [lambda: [actions.claim(worker, ["default"], [0]) for _ in range(5)]] * 2
        + [lambda run=run: actions.move(Run.objects.get(pk=run.pk), 1) for run in runs[6:]]
    )
    claimed = list(Attempt.objects.values_list("run_id", flat=True))
    assert sorted(claimed) == sorted({*claimed}) and len(claimed) + len(order()) == 10
