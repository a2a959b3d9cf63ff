from __future__ import annotations

import pytest

from tests.runs import scene as runs
from tests.sweeps.scheduling import scene
from tests.sweeps.scheduling.scene import Clock
from webapp.accounts import actions as accounts
from webapp.runs import actions as run_actions
from webapp.runs.models import Run
from webapp.sweeps.errors import Invalid, WrongState
from webapp.sweeps.models import Firing
from webapp.sweeps.scheduling import actions, queries

pytestmark = pytest.mark.django_db


def test_it_begins_at_once_and_its_times_stay(clock: Clock) -> None:
    schedule = scene.schedule()
    before = queries.upcoming(schedule)
    editor = runs.person("bob")
    accounts.set_member(schedule.project, editor, "editor")
    firing = actions.run_now(schedule, editor)
    assert (firing.outcome, firing.by, firing.due_at, firing.run) == ("queued", editor, clock.now, Run.objects.get())
    assert firing.run.created_by == schedule.created_by
    assert queries.upcoming(schedule) == before


def test_a_disabled_schedule_can_be_run_by_hand(clock: Clock) -> None:
    assert actions.run_now(scene.schedule(enabled=False), runs.person()).outcome == "queued"


def test_never_two_at_once_unless_allowed(clock: Clock) -> None:
    schedule = scene.schedule()
    actions.run_now(schedule, runs.person())
    clock.move(seconds=1)
    with pytest.raises(WrongState, match="which it began before, is not over"):
        actions.run_now(schedule, runs.person())
    schedule = actions.edit(schedule, runs.person(), {"overlap": True})
    assert actions.run_now(schedule, runs.person()).outcome == "queued"


def test_what_was_run_by_hand_holds_back_the_next_time(clock: Clock) -> None:
    schedule = scene.schedule()
    actions.run_now(schedule, runs.person())
    clock.move(minutes=5)
    assert [one.outcome for one in scene.fire_due()] == ["overlap"]


def test_a_refusal_is_told_and_not_kept(clock: Clock) -> None:
    base = runs.submit(runs.project())
    schedule = scene.schedule(action={"run": {"spec": runs.finetune_of(base)}})
    run_actions.delete(base)
    with pytest.raises(Invalid) as caught:
        actions.run_now(schedule, runs.person())
    assert caught.value.errors[0]["loc"] == ["action", "run", "spec", "model", "run"]
    assert not Firing.objects.exists()


def test_not_for_somebody_who_may_not_queue_any_more(clock: Clock) -> None:
    project = runs.project()
    accounts.set_member(project, runs.person("eve"), "editor")
    schedule = scene.schedule(project=project, user=runs.person("eve"))
    accounts.set_member(project, runs.person("eve"), "viewer")
    with pytest.raises(WrongState, match="no longer an editor of Alpha"):
        actions.run_now(schedule, runs.person("ada"))
