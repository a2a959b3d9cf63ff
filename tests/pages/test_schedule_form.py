"""The form of a schedule: what it makes, what it refuses, and that nothing typed is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.pages.team import Team
from tests.pages.test_markup import check
from tests.pages.test_schedules import FORM, get, schedule_of, text_of
from tests.runs import scene
from tests.sweeps.scheduling.scene import RUN, SWEEP
from webapp.runs import actions as runs
from webapp.sweeps import actions as sweeps
from webapp.sweeps.models import Schedule
from webapp.sweeps.scheduling import actions, queries

pytestmark = pytest.mark.django_db


def new(team: Team, **fields: Any) -> Any:
    return team.client("editor").post(reverse("schedule-new", args=[team.project.slug]), FORM | fields)


def test_the_form_makes_a_schedule_by_cron(team: Team) -> None:
    answer = new(team, overlap="on")
    schedule = Schedule.objects.get()
    assert answer["Location"] == reverse("schedule", args=[team.project.slug, schedule.pk])
    assert (schedule.name, schedule.cron, schedule.timezone) == ("Every morning", "0 8 * * MON-FRI", "Europe/Berlin")
    assert (schedule.interval_s, schedule.at, schedule.action) == (None, None, RUN)
    assert (schedule.missed, schedule.overlap, schedule.enabled) == ("once", True, True)
    assert schedule.created_by == team.people["editor"]


def test_the_form_makes_an_interval_and_a_single_time(team: Team) -> None:
    new(team, timing="interval", every="90", unit="60")
    new(team, timing="once", at="2031-07-01T08:00", enabled="")
    every, once = Schedule.objects.order_by("id")
    assert (every.cron, every.interval_s) == ("", 5400)
    assert once.at is not None and once.at.isoformat() == "2031-07-01T06:00:00+00:00"  # summer time in Berlin
    assert not once.enabled


def test_a_run_is_copied_as_it_is(team: Team) -> None:
    base = scene.submit(team.project, user=team.people["editor"], name="first")
    run = scene.submit(
        team.project, user=team.people["editor"], name="lora", tags=["a"], priority=3, queue="big", baseline=base
    )
    assert f'value="{run.pk}"' in get(team, "schedule-new").content.decode()
    new(team, source="run", run=str(run.pk))
    body = Schedule.objects.get().action["run"]
    assert body == {"name": "lora", "tags": ["a"], "priority": 3, "queue": "big", "baseline": base.pk, "spec": run.spec}


def test_a_sweep_is_repeated_without_its_deadline(team: Team) -> None:
    deadline = (timezone.now() + timedelta(days=1)).isoformat()
    definition = SWEEP["sweep"] | {"budget": {"gpu_hours": 2.0, "deadline": deadline}}
    sweep = sweeps.create(project=team.project, user=team.people["editor"], definition=definition, name="search")
    new(team, source="sweep", sweep=str(sweep.pk))
    body = Schedule.objects.get().action["sweep"]
    assert (body["name"], body["trials"], body["budget"]["gpu_hours"]) == ("search", 4, 2.0)
    assert body["budget"]["deadline"] is None
    firing = actions.run_now(Schedule.objects.get(), team.people["editor"])
    assert firing.sweep is not None and firing.sweep.definition["search"] == sweep.definition["search"]


def test_a_link_fills_in_what_to_queue(team: Team) -> None:
    run = scene.submit(team.project, user=team.people["editor"], name="lora")
    page = team.client("editor").get(reverse("schedule-new", args=[team.project.slug]) + f"?run={run.pk}")
    form = page.context["form"]
    assert (form["source"].value(), form["run"].value(), form["name"].value()) == ("run", run.pk, "lora")
    for odd in ("?run=x", f"?run={2**80}", "?sweep=999"):
        address = reverse("schedule-new", args=[team.project.slug]) + odd
        assert team.client("editor").get(address).status_code == 200


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"cron": "0 0 31 2 *"}, "cron", "would never fire"),
        ({"cron": ""}, "cron", "five fields"),
        ({"timing": "interval", "every": "30", "unit": "1"}, "every", "60 to 31,622,400 seconds, not 30"),
        ({"timing": "interval", "every": ""}, "every", "not 0"),
        ({"timing": "interval", "every": "often"}, "every", "Enter a whole number"),
        ({"timing": "once", "at": "soon"}, "at", "needs a date and a time, like 2026-12-01 08:00, not 'soon'"),
        ({"timing": "once", "at": "2020-01-01T08:00"}, "at", "must lie in the future"),
        ({"timing": "once", "at": "2031-03-30T02:30"}, "at", "does not exist on 30 March 2031 in Europe/Berlin"),
        ({"timing": "once", "at": "0001-01-01T00:00"}, "at", "within the next 10 years"),
        ({"timezone": "Europe/Atlantis"}, "timezone", "There is no time zone"),
        ({"timing": "once", "at": "2031-01-01T08:00", "timezone": "x"}, "timezone", "There is no time zone"),
        ({"action": "{"}, "action", "This is not JSON"),
        ({"action": '{"run": {"spec": NaN}}'}, "action", "NaN is no number"),
        ({"action": "[]"}, "action", "action must be"),
        ({"action": '{"run": {"spec": {"kind": "pretrain", "steps": -1}}}'}, "action", "run.spec.steps: "),
        ({"source": "run", "run": "999"}, "run", "There is no run 999 in this project."),
        ({"source": "run", "run": ""}, "run", "Say which run, by its number."),
        ({"source": "sweep", "sweep": "999"}, "sweep", "There is no sweep 999 in this project."),
        ({"timing": "never"}, "timing", "Select a valid choice"),
    ],
)
def test_bad_input_is_told_at_its_field_and_nothing_is_lost(team: Team, fields: Any, field: str, says: str) -> None:
    answer = new(team, **fields)
    assert (answer.status_code, Schedule.objects.count()) == (422, 0)
    form = answer.context["form"]
    assert says in " ".join(form.errors[field]), form.errors
    sent = FORM | fields
    for name in ("name", "cron", "every", "at", "timezone", "run", "sweep", "action"):
        assert form[name].value() == sent[name]
    check("schedule-new", answer)


def test_an_external_run_can_not_be_scheduled(team: Team) -> None:
    run = runs.create_external(project=team.project, user=team.people["editor"], name="outside")
    assert "came from outside" in text_of(new(team, source="run", run=str(run.pk)))


def test_text_that_can_not_be_stored_is_refused(team: Team) -> None:
    answer = new(team, action='{"run": {"spec": {"kind": "\\u0000"}}}')
    assert answer.status_code == 422 and "NUL" in text_of(answer)


def test_the_preview_shows_five_times_in_the_zone_of_the_schedule(team: Team) -> None:
    address = reverse("schedule-preview", args=[team.project.slug])
    page = text_of(team.client("editor").post(address, FORM | {"cron": "30 7 * * *"}))
    assert "At 07:30 Europe/Berlin" in page
    assert page.count(", 07:30") == 5
    wrong = team.client("editor").post(address, FORM | {"cron": "61 * * * *"})
    assert "not &#x27;61&#x27;" in wrong.content.decode()
    assert "no time zone" in text_of(team.client("editor").post(address, FORM | {"timezone": "x"}))
    assert team.client("editor").post(address, {}).status_code == 200


def test_editing_shows_what_is_and_keeps_what_is_not_touched(team: Team) -> None:
    schedule = schedule_of(team, cron="", interval_s=5400, overlap=True)
    before = queries.upcoming(schedule)
    page = get(team, "schedule-edit", schedule.pk)
    initial = page.context["form"].initial
    assert (initial["timing"], initial["every"], initial["unit"]) == ("interval", 90, "60")
    sent = {name: value for name, value in initial.items() if value not in (None, False)} | {"name": "Renamed"}
    assert team.client("owner").post(page.request["PATH_INFO"], sent).status_code == 302
    schedule.refresh_from_db()
    assert (schedule.name, schedule.interval_s, schedule.overlap) == ("Renamed", 5400, True)
    assert queries.upcoming(schedule) == before
    assert (schedule.action, schedule.created_by) == (RUN, team.people["editor"])


def test_a_single_time_that_is_not_touched_keeps_its_seconds(team: Team) -> None:
    at = (timezone.now() + timedelta(days=1)).replace(second=17, microsecond=0)
    schedule = schedule_of(team, cron="", at=at)
    page = get(team, "schedule-edit", schedule.pk)
    sent = {name: value for name, value in page.context["form"].initial.items() if value not in (None, False)}
    team.client("editor").post(page.request["PATH_INFO"], sent)
    schedule.refresh_from_db()
    assert schedule.at == at
