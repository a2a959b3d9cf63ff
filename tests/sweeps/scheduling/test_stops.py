"""What stops a schedule by itself, and how it goes on."""

from __future__ import annotations

import pytest

from tests.runs import scene as runs
from tests.sweeps.scheduling import scene
from tests.sweeps.scheduling.scene import Clock
from webapp.accounts import actions as accounts
from webapp.accounts.models import Membership
from webapp.runs import actions as run_actions
from webapp.runs.models import Run
from webapp.sweeps.models import Firing, Schedule
from webapp.sweeps.scheduling import actions, firing

pytestmark = pytest.mark.django_db


def outcomes(schedule: Schedule) -> list[str]:
    return list(schedule.firings.order_by("id").values_list("outcome", flat=True))


def test_a_refused_action_is_told_and_after_five_in_a_row_it_stops(clock: Clock) -> None:
    base = runs.submit(runs.project())
    schedule = scene.schedule(action={"run": {"spec": runs.finetune_of(base)}})
    run_actions.delete(base)
    for number in range(firing.MOST_REFUSED):
        schedule.refresh_from_db()
        assert (schedule.enabled, schedule.notice) == (True, ""), number
        clock.move(minutes=5)
        scene.fire_due()
    schedule.refresh_from_db()
    sentence = f"action.run.spec.model.run: There is no run {base.pk} that you can read."
    assert outcomes(schedule) == ["refused"] * 5
    assert {one.message for one in schedule.firings.all()} == {sentence}
    assert not schedule.enabled and schedule.notice == f"It was refused 5 times in a row, at last because: {sentence}"
    clock.move(minutes=5)
    assert scene.fire_due() == []


def test_a_person_who_mends_it_begins_a_new_count(clock: Clock) -> None:
    base = runs.submit(runs.project())
    schedule = scene.schedule(action={"run": {"spec": runs.finetune_of(base)}}, overlap=True)
    run_actions.delete(base)
    for _ in range(4):
        clock.move(minutes=5)
        scene.fire_due()
    actions.edit(schedule, runs.person(), {"name": "tried again"})
    clock.move(minutes=5)
    scene.fire_due()
    schedule.refresh_from_db()
    assert schedule.enabled and outcomes(schedule) == ["refused"] * 5


def lost(schedule: Schedule, clock: Clock) -> str:
    """Its notice, after a time at which it may begin nothing."""
    clock.move(minutes=5)
    scene.fire_due()
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.task.enabled, Run.objects.count()) == (False, False, 0)
    assert [(one.outcome, one.message) for one in schedule.firings.all()] == [("refused", schedule.notice)]
    return schedule.notice


def test_a_project_that_lost_its_owner_stops_its_schedules_with_a_notice(clock: Clock) -> None:
    project = runs.project()
    accounts.set_member(project, runs.person("eve"), "editor")
    schedule = scene.schedule(project=project, user=runs.person("eve"))
    owner = runs.person("ada")
    owner.is_active = False
    owner.save()
    assert lost(schedule, clock) == "Alpha has no active owner any more. Give it one, then enable the schedule again."


def test_an_author_who_is_an_editor_no_more(clock: Clock) -> None:
    project = runs.project()
    accounts.set_member(project, runs.person("eve"), "editor")
    schedule = scene.schedule(project=project, user=runs.person("eve"))
    accounts.set_member(project, runs.person("eve"), "viewer")
    assert lost(schedule, clock) == (
        "eve, for whom it acts, is no longer an editor of Alpha. An editor who enables it again takes it over."
    )
    schedule = actions.enable(schedule, runs.person("ada"))
    assert (schedule.created_by, schedule.notice) == (runs.person("ada"), "")
    clock.move(minutes=5)
    assert [one.outcome for one in scene.fire_due()] == ["queued"]


def test_an_author_who_is_active_no_more_or_gone(clock: Clock) -> None:
    project, eve = runs.project(), runs.person("eve")
    accounts.set_member(project, eve, "editor")
    schedule = scene.schedule(project=project, user=eve)
    eve.is_active = False
    eve.save()
    assert "eve, for whom it acts, is no longer active." in lost(schedule, clock)
    schedule = actions.enable(schedule, runs.person("ada"))
    Firing.objects.all().delete()
    Membership.objects.filter(user=schedule.created_by).update(user=runs.person("bob"))
    Schedule.objects.filter(pk=schedule.pk).update(created_by=None)
    assert "is gone" in lost(schedule, clock)
