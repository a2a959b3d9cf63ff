from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from tests.runs import scene as runs
from tests.sweeps.scheduling import scene
from tests.sweeps.scheduling.scene import RUN, START, SWEEP, Clock
from webapp.accounts import actions as accounts
from webapp.runs.models import Queue, Run
from webapp.sweeps.errors import Invalid
from webapp.sweeps.models import Schedule, Sweep
from webapp.sweeps.scheduling import queries

pytestmark = pytest.mark.django_db


def test_each_kind_of_timing_is_a_row_of_django_celery_beat(clock: Clock) -> None:
    cron = scene.schedule(cron="30 8 1,15 * MON", timezone="Europe/Berlin").task
    assert str(cron.crontab.timezone) == "Europe/Berlin"
    assert (cron.crontab.minute, cron.crontab.hour, cron.crontab.day_of_month) == ("30", "8", "1,15")
    assert (cron.crontab.month_of_year, cron.crontab.day_of_week) == ("*", "MON")
    every = scene.schedule(interval_s=300).task
    assert (every.interval.every, every.interval.period, every.one_off) == (300, "seconds", False)
    once = scene.schedule(at=START + timedelta(days=1)).task
    assert (once.clocked.clocked_time, once.one_off) == (START + timedelta(days=1), True)
    assert all(task.enabled and task.description for task in (cron, every, once))
    assert PeriodicTask.objects.count() == 3


def test_the_next_five_times_are_shown(clock: Clock) -> None:
    five = [START.replace(minute=minute, second=0) for minute in (5, 10, 15, 20, 25)]
    assert queries.upcoming(scene.schedule()) == five
    hours = [START + timedelta(hours=number) for number in range(1, 6)]
    assert queries.upcoming(scene.schedule(interval_s=3600)) == hours
    assert queries.upcoming(scene.schedule(at=START + timedelta(days=1))) == [START + timedelta(days=1)]


def test_times_are_those_of_the_time_zone(clock: Clock) -> None:
    found = queries.upcoming(scene.schedule(cron="0 8 * * *", timezone="Europe/Berlin"))
    assert found[0] == datetime(2026, 11, 24, 7, tzinfo=UTC)


def test_a_disabled_schedule_has_no_next_time_and_an_action_that_is_checked_all_the_same(clock: Clock) -> None:
    schedule = scene.schedule(enabled=False)
    assert (queries.upcoming(schedule), schedule.task.enabled) == ([], False)
    with pytest.raises(Invalid):
        scene.schedule(enabled=False, action={"run": {"spec": {}}})


def locs(**fields: Any) -> list[str]:
    with pytest.raises(Invalid) as caught:
        scene.schedule(**fields)
    return [".".join(map(str, error["loc"])) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("action", "loc"),
    [
        ({}, "action"),
        ([], "action"),
        ({"run": RUN["run"], "sweep": SWEEP["sweep"]}, "action"),
        ({"refit": {}}, "action"),
        ({"run": 7}, "action.run"),
        ({"run": {}}, "action.run.spec"),
        ({"run": {**RUN["run"], "project": "other"}}, "action.run.project"),
        ({"run": {"spec": {**runs.SPEC, "steps": -1}}}, "action.run.spec.steps"),
        ({"run": {"spec": {**runs.SPEC, "model": {"source": "run", "run": 999}}}}, "action.run.spec.model.run"),
        ({"run": {"spec": {"kind": "external"}}}, "action.run.spec.kind"),
        ({"run": {**RUN["run"], "priority": 5000}}, "action.run.priority"),
        ({"run": {**RUN["run"], "priority": "high"}}, "action.run.priority"),
        ({"run": {**RUN["run"], "queue": "No Queue"}}, "action.run.queue"),
        ({"run": {**RUN["run"], "baseline": 999}}, "action.run.baseline"),
        ({"sweep": {**SWEEP["sweep"], "trials": 0}}, "action.sweep.trials"),
        ({"sweep": {**SWEEP["sweep"], "sampler": "tpe"}}, "action.sweep.sampler"),
        ({"sweep": {**SWEEP["sweep"], "tags": "night"}}, "action.sweep.tags"),
    ],
)
def test_an_action_that_would_be_refused_is_refused_at_once(clock: Clock, action: Any, loc: str) -> None:
    assert loc in locs(action=action)
    assert not Schedule.objects.exists() and not PeriodicTask.objects.exists()


def test_everything_that_is_wrong_is_told_at_once(clock: Clock) -> None:
    found = locs(name="", cron="x", timezone="nowhere", missed="twice", action={})
    assert found == ["name", "timezone", "cron", "missed", "action"]


def test_checking_an_action_queues_nothing(clock: Clock) -> None:
    scene.schedule()
    scene.schedule(action=SWEEP)
    assert (Run.objects.count(), Sweep.objects.count()) == (0, 0)


def test_an_action_may_read_only_what_its_person_may(clock: Clock) -> None:
    foreign = runs.submit(runs.project("Secret", owner=runs.person("eve")), user=runs.person("eve"))
    assert locs(action={"run": {"spec": runs.finetune_of(foreign)}}) == ["action.run.spec.model.run"]


def test_a_project_without_an_active_owner_gets_no_schedule(clock: Clock) -> None:
    project, admin = runs.project(), accounts.create_user("root", is_superuser=True)
    owner = runs.person()
    owner.is_active = False
    owner.save()
    with pytest.raises(Invalid, match="no active owner"):
        scene.schedule(project=project, user=admin)


def test_nothing_is_left_of_a_refused_schedule(clock: Clock) -> None:
    locs(cron="0 0 31 2 *", action={"run": {**RUN["run"], "queue": "fresh"}})
    assert not Queue.objects.filter(name="fresh").exists()
    assert not (CrontabSchedule.objects.count() + IntervalSchedule.objects.count() + ClockedSchedule.objects.count())
