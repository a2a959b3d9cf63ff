from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from tests.runs import scene as runs
from tests.sweeps.scheduling import scene
from tests.sweeps.scheduling.scene import START, SWEEP, Clock
from webapp.runs import actions as run_actions
from webapp.runs.models import Run
from webapp.sweeps.models import Firing, Schedule, Sweep
from webapp.sweeps.scheduling import actions, firing, queries

pytestmark = pytest.mark.django_db
DUE = START.replace(minute=5, second=0)


def outcomes(schedule: Schedule) -> list[str]:
    return list(schedule.firings.order_by("id").values_list("outcome", flat=True))


def test_a_run_is_queued_for_the_author_and_named_after_the_time(clock: Clock) -> None:
    schedule = scene.schedule(cron="0 9 * * *", timezone="Europe/Berlin")
    clock.set(2026, 11, 23, 8, 0, 2)
    fired = scene.fire_due()
    run = Run.objects.get()
    assert [(one.outcome, one.run, one.due_at) for one in fired] == [
        ("queued", run, datetime(2026, 11, 23, 8, tzinfo=UTC))
    ]
    assert (run.name, run.tags, run.status) == ("nightly 2026-11-23 09:00", ["night"], "queued")
    assert (run.created_by, run.project) == (schedule.created_by, schedule.project)


def test_a_sweep_is_begun_and_knows_its_schedule(clock: Clock) -> None:
    schedule = scene.schedule(action=SWEEP, name="Weekly search")
    clock.move(minutes=5)
    scene.fire_due()
    sweep = Sweep.objects.get()
    assert (sweep.schedule, sweep.name, sweep.created_by) == (
        schedule,
        "Weekly search 2026-11-23 07:05",
        schedule.created_by,
    )
    assert sweep.definition["trials"] == 4
    assert schedule.firings.get().sweep == sweep


def test_a_name_too_long_for_the_date_gives_way(clock: Clock) -> None:
    scene.schedule(action={"run": {"spec": runs.SPEC, "name": "n" * 200}})
    clock.move(minutes=5)
    scene.fire_due()
    name = Run.objects.get().name
    assert len(name) == 200 and name.endswith("n 2026-11-23 07:05")


def test_a_time_is_dealt_with_once(clock: Clock) -> None:
    schedule = scene.schedule(overlap=True)
    clock.move(minutes=5)
    assert actions.fire(schedule.pk, DUE) is not None
    assert actions.fire(schedule.pk, DUE) is None
    assert actions.fire(schedule.pk, DUE + timedelta(minutes=1)) is None  # never one of its times
    assert (Run.objects.count(), Firing.objects.count()) == (1, 1)


def test_what_is_shown_is_what_fires(clock: Clock) -> None:
    """Ticks at odd moments through a clock change, in a zone that has one."""
    clock.set(2027, 3, 27, 23, 0, 0)
    shown = [
        time
        for cron in ("*/20 1-3 * * *", "30 2 * * *", "0 * * * *")
        for time in queries.upcoming(scene.schedule(cron=cron, timezone="Europe/Berlin", overlap=True), 30)
    ]
    end = clock.now + timedelta(hours=5)
    while clock.now < end:
        clock.move(seconds=17)
        scene.fire_due()
    fired = Firing.objects.filter(outcome="queued").order_by("due_at").values_list("due_at", flat=True)
    assert list(fired) == sorted(time for time in shown if time <= clock.now)
    assert len(fired) >= 10


def test_it_does_not_begin_again_while_what_it_began_is_not_over(clock: Clock) -> None:
    schedule = scene.schedule()
    for _ in range(2):
        clock.move(minutes=5)
        scene.fire_due()
    run = Run.objects.get()
    assert outcomes(schedule) == ["queued", "overlap"]
    assert schedule.firings.first().message == f"Run {run.pk}, which it began before, is not over (queued)."
    run_actions.cancel(run)
    clock.move(minutes=5)
    scene.fire_due()
    assert outcomes(schedule) == ["queued", "overlap", "queued"]


def test_a_sweep_that_is_not_over_holds_the_next_one_back_until_it_is_deleted(clock: Clock) -> None:
    from webapp.sweeps import actions as sweeps

    schedule = scene.schedule(action=SWEEP)
    for _ in range(2):
        clock.move(minutes=5)
        scene.fire_due()
    assert outcomes(schedule) == ["queued", "overlap"]
    sweeps.delete(Sweep.objects.get(), runs.person())
    clock.move(minutes=5)
    scene.fire_due()
    assert outcomes(schedule) == ["queued", "overlap", "queued"]


def test_several_at_once_where_that_is_allowed(clock: Clock) -> None:
    schedule = scene.schedule(overlap=True)
    for _ in range(3):
        clock.move(minutes=5)
        scene.fire_due()
    assert outcomes(schedule) == ["queued"] * 3


def test_a_minute_late_is_on_time_and_later_is_missed(clock: Clock) -> None:
    schedule = scene.schedule(overlap=True)
    clock.now = DUE + timedelta(seconds=firing.MISSED_AFTER_S)
    scene.fire_due()
    clock.now = DUE + timedelta(minutes=5, seconds=firing.MISSED_AFTER_S + 1)
    scene.fire_due()
    assert outcomes(schedule) == ["queued", "missed"]


def test_missed_times_are_skipped_as_one_and_the_present_one_is_not(clock: Clock) -> None:
    schedule = scene.schedule()
    clock.move(hours=2, minutes=5)  # 09:05:30; 07:05 to 09:00 were missed, 09:05 was not
    scene.fire_due()
    missed, queued = schedule.firings.order_by("id")
    assert (missed.outcome, missed.due_at) == ("missed", datetime(2026, 11, 23, 9, 0, tzinfo=UTC))
    assert missed.message == (
        "The scheduler was away. 24 times were missed since 23 November 2026 07:05; this is the newest."
    )
    assert (queued.outcome, queued.due_at) == ("queued", datetime(2026, 11, 23, 9, 5, tzinfo=UTC))
    assert Run.objects.count() == 1


def test_missed_times_are_made_up_for_once(clock: Clock) -> None:
    schedule = scene.schedule(cron="0 8 * * *", missed="once")
    clock.move(days=3, hours=5)
    scene.fire_due()
    assert [(one.outcome, one.due_at) for one in schedule.firings.all()] == [
        ("queued", datetime(2026, 11, 26, 8, tzinfo=UTC))
    ]
    assert "4 times were missed" in schedule.firings.get().message
    assert Run.objects.get().name == "nightly 2026-11-26 08:00"


def test_a_year_of_missed_minutes_takes_no_time(clock: Clock) -> None:
    schedule = scene.schedule(cron="* * * * *")
    clock.move(days=365, seconds=29)
    scene.fire_due()
    missed = schedule.firings.get(outcome="missed")
    assert missed.due_at == clock.now.replace(second=0) - timedelta(minutes=1)
    assert "more than 1,000 times were missed" in missed.message


def test_one_time_that_was_missed(clock: Clock) -> None:
    skipped = scene.schedule(at=START + timedelta(hours=1))
    made_up = scene.schedule(at=START + timedelta(hours=1), missed="once")
    clock.move(hours=5)
    scene.fire_due()
    assert (outcomes(skipped), outcomes(made_up)) == (["missed"], ["queued"])
    assert not Schedule.objects.filter(enabled=True).exists()


def test_a_clock_that_was_set_back_does_not_fire_a_time_twice(clock: Clock) -> None:
    schedule = scene.schedule(overlap=True)
    clock.move(minutes=5)
    scene.fire_due()
    clock.move(minutes=-4)
    actions.enable(actions.disable(schedule), runs.person())
    clock.move(minutes=4)
    assert scene.fire_due() == []
    clock.move(minutes=5)
    assert [one.due_at for one in scene.fire_due()] == [DUE + timedelta(minutes=5)]


def test_firings_are_told_with_the_moment_they_happened(clock: Clock) -> None:
    schedule = scene.schedule()
    clock.move(minutes=5)
    scene.fire_due()
    assert schedule.firings.get().at == clock.now != timezone.now()
