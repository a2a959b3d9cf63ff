from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.pages.team import Team
from tests.pages.test_markup import check
from tests.sweeps.scheduling.scene import RUN, SWEEP
from webapp.runs.models import Run
from webapp.sweeps.models import Firing, Schedule
from webapp.sweeps.scheduling import actions, periodic, queries

pytestmark = pytest.mark.django_db

FORM: dict[str, Any] = {
    "name": "Every morning", "timing": "cron", "cron": "0 8 * * MON-FRI", "every": "6", "unit": "3600", "at": "",
    "timezone": "Europe/Berlin", "source": "json", "run": "", "sweep": "", "action": json.dumps(RUN), "missed": "once",
    "enabled": "on",
}  # fmt: skip


def schedule_of(team: Team, **fields: Any) -> Schedule:
    given: dict[str, Any] = {
        "name": "Nightly",
        "action": RUN,
        "cron": "0 2 * * *",
        "timezone": "Europe/Berlin",
    } | fields
    return actions.create(project=team.project, user=team.people["editor"], **given)


def text_of(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def get(team: Team, name: str, *args: Any, role: str = "editor") -> Any:
    return team.client(role).get(reverse(name, args=[team.project.slug, *args]))


def test_an_empty_list_says_what_belongs_there(team: Team) -> None:
    assert "No schedule yet" in text_of(get(team, "schedules"))
    assert "New schedule" not in text_of(get(team, "schedules", role="viewer"))


def test_the_list_tells_what_when_next_and_last(team: Team) -> None:
    schedule = schedule_of(team)
    schedule_of(team, name="Search", action=SWEEP, cron="", interval_s=7200)
    actions.run_now(schedule, team.people["editor"])
    page = text_of(get(team, "schedules"))
    for words in ("Nightly", "Run: pretrain", "At 02:00 Europe/Berlin", "queued", "Search", "Sweep: random, 4 trials",
                  "Every 2 hours", "never"):  # fmt: skip
        assert words in page, words
    coming = queries.upcoming(schedule)[0]
    assert (
        f'datetime="{coming.astimezone(schedule.task.crontab.timezone).isoformat()}"'
        in get(team, "schedules").content.decode()
    )


def test_the_page_tells_everything(team: Team) -> None:
    schedule = schedule_of(team)
    firing = actions.run_now(schedule, team.people["editor"])
    page = get(team, "schedule", schedule.pk)
    text = text_of(page)
    for words in ("enabled", "At 02:00 0 2 * * * · Europe/Berlin", "Run: pretrain for editor", "left out",
                  "Next five times", "queued", firing.run.name if firing.run else "", "by hand, editor"):  # fmt: skip
        assert words in text, words
    assert len(page.context["next"]) == 5
    check("schedule", page)


def test_the_history_has_pages(team: Team) -> None:
    schedule = schedule_of(team)
    start = timezone.now() - timedelta(days=90)
    Firing.objects.bulk_create(
        Firing(schedule=schedule, due_at=start + timedelta(days=day), outcome="missed", message=f"day {day}.")
        for day in range(60)
    )
    first = get(team, "schedule", schedule.pk)
    assert "day 59." in text_of(first) and "day 9." not in text_of(first)
    second = team.client("viewer").get(reverse("schedule", args=[team.project.slug, schedule.pk]) + "?page=2")
    assert "day 9." in text_of(second) and "51-60 of 60" in text_of(second)


def test_a_schedule_that_stopped_by_itself_says_why(team: Team) -> None:
    schedule = schedule_of(team)
    periodic.disable(schedule, "Code models has no active owner any more.")
    page = text_of(get(team, "schedule", schedule.pk))
    assert "Stopped Code models has no active owner any more." in page
    assert "stopped" in text_of(get(team, "schedules"))


def test_buttons_do_what_they_say(team: Team) -> None:
    schedule, client = schedule_of(team), team.client("editor")

    def press(name: str, **fields: str) -> Any:
        return client.post(reverse(f"schedule-{name}", args=[team.project.slug, schedule.pk]), fields, follow=True)

    assert "nightly 20" in text_of(press("run")) and Run.objects.count() == 1
    assert "which it began before, is not over" in text_of(press("run"))
    assert "is disabled" in text_of(press("disable"))
    assert "is enabled, from now on" in text_of(press("enable", **{"from": "list"}))
    asked = client.get(reverse("schedule-delete", args=[team.project.slug, schedule.pk]))
    assert "Delete Nightly?" in text_of(asked)
    assert "is deleted" in text_of(press("delete"))
    assert "No schedule yet" in text_of(get(team, "schedules"))
    assert Run.objects.get().deleted_at is None


def test_pages_keep_to_the_policy_and_name_their_controls(team: Team) -> None:
    schedule = schedule_of(team)
    schedule_of(team, name="Another")
    for name, args in (("schedules", []), ("schedule-new", []), ("schedule", [schedule.pk]),
                       ("schedule-edit", [schedule.pk]), ("schedule-delete", [schedule.pk])):  # fmt: skip
        check(name, get(team, name, *args))


def test_the_list_costs_a_fixed_number_of_queries(team: Team, django_assert_max_num_queries: Any) -> None:
    for number in range(12):
        schedule_of(team, name=f"Schedule {number}", overlap=True)
    client = team.client("editor")
    with django_assert_max_num_queries(12):
        client.get(reverse("schedules", args=[team.project.slug]), headers={"HX-Request": "true"})
