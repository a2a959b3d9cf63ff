from __future__ import annotations

from datetime import timedelta

import pytest
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from tests.runs import scene as runs
from tests.sweeps.scheduling import scene
from tests.sweeps.scheduling.scene import RUN, START, SWEEP, Clock
from webapp.accounts import actions as accounts
from webapp.sweeps.errors import Invalid
from webapp.sweeps.models import Firing, Schedule
from webapp.sweeps.scheduling import actions, queries

pytestmark = pytest.mark.django_db


def test_a_new_timing_takes_the_place_of_the_old_one(clock: Clock) -> None:
    schedule = actions.edit(scene.schedule(), runs.person(), {"interval_s": 600})
    assert (schedule.cron, schedule.interval_s) == ("", 600)
    assert queries.upcoming(schedule)[0] == START + timedelta(seconds=600)
    assert (CrontabSchedule.objects.count(), IntervalSchedule.objects.count()) == (0, 1)
    task = PeriodicTask.objects.get()
    assert (task.crontab, task.interval.every) == (None, 600)


def test_what_has_nothing_to_do_with_the_times_leaves_them(clock: Clock) -> None:
    schedule = scene.schedule(interval_s=600)
    clock.move(seconds=100)
    schedule = actions.edit(schedule, runs.person(), {"name": "renamed", "overlap": True, "missed": "once"})
    assert (schedule.name, schedule.overlap, schedule.missed) == ("renamed", True, "once")
    assert queries.upcoming(schedule)[0] == START + timedelta(seconds=600)
    assert schedule.task.description == "renamed"


def test_a_new_time_zone_is_a_new_timing(clock: Clock) -> None:
    schedule = scene.schedule(cron="0 8 * * *")
    before = queries.upcoming(schedule)[0]
    schedule = actions.edit(schedule, runs.person(), {"timezone": "Asia/Kolkata"})
    assert queries.upcoming(schedule)[0] - before == timedelta(hours=18, minutes=30)  # 08:00 there is 02:30 UTC
    assert str(schedule.task.crontab.timezone) == "Asia/Kolkata"


def test_nothing_changes_when_something_is_wrong(clock: Clock) -> None:
    schedule = scene.schedule()
    with pytest.raises(Invalid):
        actions.edit(schedule, runs.person(), {"name": "other", "cron": "x"})
    with pytest.raises(Invalid, match="There is no such field"):
        actions.edit(schedule, runs.person(), {"kron": "* * * * *"})
    with pytest.raises(Invalid, match="not cron and interval_s"):
        actions.edit(schedule, runs.person(), {"cron": "* * * * *", "interval_s": 60})
    schedule.refresh_from_db()
    assert (schedule.name, schedule.cron) == ("Every five minutes", "*/5 * * * *")


def test_a_newly_enabled_schedule_does_not_make_up_for_the_time_before(clock: Clock) -> None:
    schedule = actions.disable(scene.schedule(missed="once"))
    assert not schedule.task.enabled
    clock.move(hours=3)
    assert scene.fire_due() == []
    schedule = actions.enable(schedule, runs.person())
    assert scene.fire_due() == []
    assert queries.upcoming(schedule)[0] == clock.now.replace(minute=5, second=0)


def test_one_time_that_is_past_can_not_be_enabled_but_renamed(clock: Clock) -> None:
    schedule = scene.schedule(at=START + timedelta(hours=1))
    clock.move(hours=1)
    scene.fire_due()
    schedule.refresh_from_db()
    assert not schedule.enabled
    assert actions.edit(schedule, runs.person(), {"name": "once"}).name == "once"
    with pytest.raises(Invalid, match="at must lie in the future"):
        actions.enable(schedule, runs.person())
    schedule = actions.edit(schedule, runs.person(), {"enabled": True, "at": clock.now + timedelta(hours=1)})
    assert queries.upcoming(schedule) == [clock.now + timedelta(hours=1)]


def test_enabling_checks_the_action_again(clock: Clock) -> None:
    base = runs.submit(runs.project())
    schedule = scene.schedule(action={"run": {"spec": runs.finetune_of(base)}}, enabled=False)
    from webapp.runs import actions as run_actions

    run_actions.delete(base)
    with pytest.raises(Invalid) as caught:
        actions.enable(schedule, runs.person())
    assert caught.value.errors[0]["loc"] == ["action", "run", "spec", "model", "run"]


def test_who_changes_what_it_does_is_who_it_acts_for(clock: Clock) -> None:
    """Else an editor could make it read what only its author may read."""
    secret = runs.submit(runs.project("Secret", owner=runs.person("eve")), user=runs.person("eve"))
    project = runs.project()
    accounts.set_member(project, runs.person("eve"), "editor")
    schedule = scene.schedule(project=project, user=runs.person("eve"))
    reads_secret = {"run": {"spec": runs.finetune_of(secret)}}
    with pytest.raises(Invalid, match="that you can read"):
        actions.edit(schedule, runs.person("ada"), {"action": reads_secret})
    assert actions.edit(schedule, runs.person("ada"), {"name": "x"}).created_by == runs.person("eve")
    assert actions.edit(schedule, runs.person("ada"), {"action": SWEEP}).created_by == runs.person("ada")


def test_deleting_leaves_no_periodic_row_and_no_further_time(clock: Clock) -> None:
    schedule = scene.schedule()
    clock.move(minutes=5)
    scene.fire_due()
    actions.delete(schedule)
    actions.delete(schedule)
    clock.move(minutes=5)
    assert scene.fire_due() == []
    assert not PeriodicTask.objects.exists() and not CrontabSchedule.objects.exists()
    assert Schedule.objects.get().deleted_at == clock.now - timedelta(minutes=5)
    assert (queries.visible(runs.person()).count(), Firing.objects.count()) == (0, 1)


def test_the_action_of_the_stored_row_is_what_was_given(clock: Clock) -> None:
    assert Schedule.objects.get(pk=scene.schedule().pk).action == RUN
