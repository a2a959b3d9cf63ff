"""The real scheduler of Celery's beat, ticked by hand; only the schedules' own clock is set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from tests.runs import scene as runs
from tests.sweeps.scheduling import scene
from tests.sweeps.scheduling.scene import SWEEP, Clock
from tests.workers.scene import QUICK, ROOT, database_url, wait_for
from webapp.runs import actions as run_actions
from webapp.runs.models import Run
from webapp.sweeps.models import Firing, Schedule, Sweep
from webapp.sweeps.scheduling import actions
from workers import beat, dispatch, schedules
from workers.app import app

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def scheduler() -> Iterator[beat.Scheduler]:
    scheduler = beat.Scheduler(app=app)
    yield scheduler
    scheduler.sync()  # it would at the end of the process, which is too late for the database


def outcomes() -> list[str]:
    return list(Firing.objects.order_by("id").values_list("outcome", flat=True))


def test_a_tick_begins_what_is_due_and_nothing_before(clock, scheduler):
    scene.schedule()
    scene.schedule(action=SWEEP)
    scheduler.tick()
    assert outcomes() == []
    clock.move(minutes=4, seconds=29)  # 07:04:59
    assert scheduler.tick() <= 1
    assert outcomes() == []
    clock.move(seconds=1)
    scheduler.tick()
    assert outcomes() == ["queued", "queued"]
    assert (Run.objects.count(), Sweep.objects.count()) == (1, 1)
    scheduler.tick()
    assert outcomes() == ["queued", "queued"]


def test_a_schedule_made_while_the_scheduler_runs_is_seen_at_the_next_tick(clock, scheduler):
    scheduler.tick()
    schedule = scene.schedule(cron="0 8 * * *")
    actions.edit(schedule, runs.person(), {"interval_s": 60})
    clock.move(seconds=60)
    scheduler.tick()
    assert outcomes() == ["queued"]
    actions.disable(schedule)
    clock.move(seconds=60)
    scheduler.tick()
    assert outcomes() == ["queued"]


def test_no_message_is_sent_and_other_periodic_tasks_are_celerys(clock, scheduler, monkeypatch):
    sent = []
    monkeypatch.setattr(scheduler, "apply_async", lambda entry, **_: sent.append(entry.name))
    every_second = IntervalSchedule.objects.create(every=1, period="seconds")
    PeriodicTask.objects.create(name="another", task="somewhere.else", interval=every_second)
    scene.schedule(interval_s=60)
    scheduler.tick()
    assert set(scheduler.schedule) == {"another"}
    clock.move(seconds=60)
    time.sleep(1.1)
    scheduler.tick()
    assert (sent, outcomes()) == (["another"], ["queued"])


def test_a_broken_schedule_stops_neither_the_others_nor_the_scheduler(clock, scheduler):
    """Rows that no action of ours would write: a zone that is no more, and an action of another shape."""
    zone, shape, good = (scene.schedule(name=name) for name in ("zone", "shape", "good"))
    Schedule.objects.filter(pk=zone.pk).update(timezone="Europe/Atlantis")
    Schedule.objects.filter(pk=shape.pk).update(action={"run": {"spec": None}})
    clock.move(minutes=5)
    scheduler.tick()
    assert {name: list(one.firings.values_list("outcome", flat=True)) for name, one in
            {"zone": zone, "shape": shape, "good": good}.items()} == {
        "zone": [], "shape": ["refused"], "good": ["queued"]
    }  # fmt: skip
    zone.refresh_from_db()
    assert not zone.enabled
    assert zone.notice.startswith("An error in Hone: ZoneInfoNotFoundError")
    clock.move(minutes=5)
    scheduler.tick()
    assert good.firings.count() == 2


def test_an_error_of_our_own_is_told_and_the_schedule_moves_on(clock, scheduler, monkeypatch):
    schedule = scene.schedule()
    monkeypatch.setattr(run_actions, "submit", lambda **_: 1 // 0)
    clock.move(minutes=5)
    scheduler.tick()
    firing = schedule.firings.get()
    assert (firing.outcome, firing.message) == (
        "refused", "An error in Hone: ZeroDivisionError: integer division or modulo by zero"
    )  # fmt: skip
    scheduler.tick()
    assert schedule.firings.count() == 1


def test_a_database_that_is_away_delays_a_time_and_loses_none(clock, scheduler, monkeypatch, tmp_path):
    schedule = scene.schedule()
    scheduler.tick()
    connection.close()
    with monkeypatch.context() as away:
        away.setitem(connection.settings_dict, "HOST", str(tmp_path))
        clock.move(minutes=4, seconds=40)
        assert 0 < scheduler.tick() <= dispatch.TICK_S
    scheduler.tick()
    assert [(one.outcome, one.due_at) for one in schedule.firings.all()] == [
        ("queued", clock.now.replace(minute=5, second=0))
    ]


def test_two_schedulers_begin_a_time_once(clock):
    for number in range(5):
        scene.schedule(name=f"schedule {number}", overlap=True)
    for _ in range(6):
        clock.move(minutes=5)
        found = runs.in_threads([schedules.fire_due] * 4)
        assert all(isinstance(wait_s, float) for wait_s in found), found
        schedules.fire_due()  # what one of them had locked while the others passed by
    assert (Run.objects.count(), outcomes()) == (30, ["queued"] * 30)


def test_a_scheduler_that_dies_in_the_middle_has_done_nothing(clock, monkeypatch):
    """Everything but the last step, in a transaction that never commits; then another scheduler comes."""
    from webapp.sweeps.scheduling import periodic

    schedule = scene.schedule()
    clock.move(minutes=5)

    class Killed(BaseException):
        pass

    def die(*_):
        assert Run.objects.exists() and Firing.objects.exists()
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(periodic, "move", die)
        schedules.fire_due()
    assert (Run.objects.count(), outcomes()) == (0, [])
    schedules.fire_due()
    assert (Run.objects.count(), outcomes()) == (1, ["queued"])
    assert schedule.firings.get().run == Run.objects.get()


def test_a_new_scheduler_goes_on_where_a_killed_one_was(clock):
    schedule = scene.schedule(overlap=True)
    for _ in range(3):
        clock.move(minutes=5)
        beat.Scheduler(app=app).tick()  # each a new one: nothing is kept in the process
    clock.move(minutes=15)
    beat.Scheduler(app=app).tick()
    beat.Scheduler(app=app).tick()
    assert outcomes() == ["queued", "queued", "queued", "missed", "queued"]
    schedule.refresh_from_db()
    assert schedule.task.start_time == clock.now.replace(second=0) + timedelta(minutes=5)


@pytest.mark.slow
def test_the_real_process_is_killed_and_the_next_one_fires(tmp_path):
    """`celery beat` itself, by the wall's clock: a time comes while the first is dead, and the second begins it."""
    begun = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "celery", "-A", "workers.app", "beat", "--loglevel", "INFO", "--pidfile", ""]
        environment = {**os.environ, "DATABASE_URL": database_url(), **QUICK}
        log = (tmp_path / "beat.log").open("ab")
        begun.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
        return begun[-1]

    def fired() -> bool:
        return Firing.objects.filter(schedule=schedule).exists()

    try:
        first = start()
        warm = scene.schedule(name="warm", at=schedules.clock.now() + timedelta(seconds=2))
        wait_for(lambda: Firing.objects.filter(schedule=warm).exists(), 60)
        schedule = scene.schedule(at=schedules.clock.now() + timedelta(seconds=1.5))
        first.send_signal(signal.SIGKILL)
        first.wait()
        time.sleep(2)
        assert not fired()
        start()
        wait_for(fired, 60)
        assert [one.outcome for one in schedule.firings.all()] == ["queued"]
    finally:
        for process in begun:
            process.kill()
            process.wait()
        print((tmp_path / "beat.log").read_text())
