"""What people do to a sweep and its trials, in which states, and what is refused."""

from __future__ import annotations

import pytest

from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.runs.errors import Invalid
from webapp.runs.queries import queue_order
from webapp.sweeps import actions, queries
from webapp.sweeps.errors import WrongState

pytestmark = pytest.mark.django_db


def test_stop_cancels_what_waits_and_asks_what_trains_for_a_checkpoint() -> None:
    sweep = scene.advanced(scene.create(trials=9, concurrency=2))
    first, second = scene.waiting(sweep)
    scene.begin(first)
    actions.stop(sweep, runs.person())
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("cancelling", "cancelled")
    sweep.refresh_from_db()
    assert sweep.status == "stopped" and sweep.ended_at is not None
    assert {trial.status for trial in scene.trials(sweep)} == {"cancelled"}


@pytest.mark.parametrize(("action", "wanted"), [("pause", "paused"), ("resume", "resumed"), ("stop", "stopped")])
def test_what_is_over_can_only_be_extended(action, wanted) -> None:
    sweep = scene.create()
    actions.stop(sweep, None)
    with pytest.raises(WrongState, match=f"is stopped and can't be {wanted}; it can be extended"):
        getattr(actions, action)(sweep, None)


def test_extend_adds_room_and_a_sweep_that_is_over_goes_on() -> None:
    sweep = scene.finish(scene.create(trials=2), lambda run: 1.0)
    actions.extend(sweep, None, trials=3)
    sweep.refresh_from_db()
    assert (sweep.status, sweep.ended_at, queries.definition(sweep).trials) == ("running", None, 5)
    scene.finish(sweep, lambda run: 1.0)
    assert len(scene.trials(sweep)) == 5


def test_extend_wants_to_know_by_what() -> None:
    sweep = scene.create()
    for changes in ({}, {"trials": 0}, {"trials": -3}):
        with pytest.raises(Invalid):
            actions.extend(sweep, None, **changes)


def test_the_space_and_the_concurrency_of_a_running_sweep_may_be_changed() -> None:
    sweep = scene.advanced(scene.create(trials=40, concurrency=1))
    space = {"optimizer.lr": {"low": 0.5, "high": 0.6}}
    actions.edit(sweep, None, {"search": {"space": space}, "concurrency": 4, "name": "narrow"})
    scene.advanced(sweep)
    assert (sweep.name, sweep.revision) == ("narrow", 2)
    new = scene.trials(sweep)[1:]
    assert len(new) == 3
    assert all(set(trial.params) == {"optimizer.lr"} and trial.params["optimizer.lr"] >= 0.5 for trial in new)


def test_an_edit_that_breaks_a_rule_changes_nothing() -> None:
    sweep = scene.create()
    for changes, place in (
        ({"concurrency": 0}, ["concurrency"]),
        ({"search": {"space": {"optimizer.lr": {"low": -1, "high": 1}}}}, ["search", "space", "optimizer.lr"]),
        ({"spec": {}}, ["spec"]),
        ({"name": ""}, ["name"]),
    ):
        with pytest.raises(Invalid) as caught:
            actions.edit(sweep, None, changes)
        assert caught.value.errors[0]["loc"] == place
    sweep.refresh_from_db()
    assert sweep.revision == 1


def test_a_new_priority_reaches_the_runs_that_wait() -> None:
    sweep = scene.advanced(scene.create(concurrency=2))
    actions.edit(sweep, None, {"priority": 7})
    trial = scene.trials(sweep)[1]
    actions.prioritise(trial, None, 5)
    assert sorted(run.priority for run in scene.waiting(sweep)) == [7, 12]


def test_a_point_by_hand_is_tried_first_and_may_be_beyond_the_limit() -> None:
    sweep = scene.create(trials=1, concurrency=1)
    params = {"optimizer.lr": 0.005, "batch_size": 8}
    trial = actions.add_trial(sweep, runs.person(), params)
    assert (trial.source, trial.number) == ("hand", 1)
    scene.advanced(sweep)
    [run] = scene.waiting(sweep)
    assert run.spec["optimizer"]["lr"] == 0.005


def test_a_point_outside_the_space_is_refused() -> None:
    sweep = scene.create()
    with pytest.raises(Invalid) as caught:
        actions.add_trial(sweep, None, {"optimizer.lr": 5.0, "batch_size": 5})
    assert len(caught.value.errors) == 2


def test_failed_trials_wait_again_and_other_endings_stay() -> None:
    sweep = scene.advanced(scene.create(trials=3, concurrency=3))
    for run, outcome in zip(scene.waiting(sweep), ["failed", "diverged", "failed"], strict=True):
        scene.break_down(run, outcome)
    scene.advanced(sweep)
    assert sweep.status == "succeeded"
    assert actions.requeue_failed(sweep, None) == 2
    scene.advanced(sweep)
    assert [trial.status for trial in scene.trials(sweep)] == ["running", "diverged", "running"]
    assert len(scene.waiting(sweep)) == 2
    assert actions.requeue_failed(sweep, None) == 0


def test_a_cancelled_trial_ends_its_runs_and_can_be_resumed() -> None:
    sweep = scene.advanced(scene.create(trials=1, seeds=2))
    [trial] = scene.trials(sweep)
    actions.cancel_trial(trial, None)
    assert not scene.waiting(sweep)
    with pytest.raises(WrongState):
        actions.cancel_trial(trial, None)
    actions.resume_trial(trial, None)
    assert len(scene.waiting(sweep)) == 2
    with pytest.raises(WrongState):
        actions.resume_trial(trial, None)


def test_a_sweep_shares_the_queue_with_single_runs_in_turn() -> None:
    sweep = scene.advanced(scene.create(trials=6, concurrency=6))
    single = [runs.submit() for _ in range(2)]
    places = [run.pk for run in queue_order("default")]
    assert places.index(single[0].pk) == 1
    assert places.index(single[1].pk) == 3
    assert len(scene.waiting(sweep)) == 6
