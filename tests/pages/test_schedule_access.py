"""Who gets what from each route below a project's schedules."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.urls import reverse

from tests.pages.team import ROLES, Team
from tests.pages.test_schedules import FORM, schedule_of
from webapp.pages.schedules.urls import urlpatterns
from webapp.sweeps.models import Firing, Schedule

pytestmark = pytest.mark.django_db

TO_SIGN_IN = "302 to /sign-in/"
MEMBERS = dict.fromkeys(ROLES, 200) | {"anonymous": TO_SIGN_IN, "stranger": 404}
EDITORS = MEMBERS | {"viewer": 403}
READ_BY_MEMBERS = {"schedules", "schedule"}
READ_BY_EDITORS = {"schedule-new", "schedule-edit", "schedule-delete"}
WRITTEN_BY_EDITORS = {
    "schedule-new", "schedule-preview", "schedule-edit", "schedule-run", "schedule-enable", "schedule-disable",
    "schedule-delete",
}  # fmt: skip
OF_A_PROJECT = {"schedules", "schedule-new", "schedule-preview"}
NAMES = sorted(str(pattern.name) for pattern in urlpatterns)


@pytest.fixture
def schedule(team: Team) -> Schedule:
    return schedule_of(team)


def address(team: Team, schedule: Schedule, name: str) -> str:
    return reverse(name, args=[team.project.slug] if name in OF_A_PROJECT else [team.project.slug, schedule.pk])


def outcome(answer: HttpResponse) -> int | str:
    """The status, with a redirect to anywhere but the sign-in page, or a form shown again, taken for being let in."""
    if answer.status_code == 302:
        return TO_SIGN_IN if answer["Location"].startswith("/sign-in/") else 200
    return 200 if answer.status_code == 422 else answer.status_code


def test_every_route_is_decided_here() -> None:
    assert set(NAMES) == READ_BY_MEMBERS | READ_BY_EDITORS | WRITTEN_BY_EDITORS


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(READ_BY_MEMBERS | READ_BY_EDITORS))
def test_reading(team: Team, schedule: Schedule, name: str, role: str) -> None:
    expected = MEMBERS if name in READ_BY_MEMBERS else EDITORS
    assert outcome(team.client(role).get(address(team, schedule, name))) == expected[role]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(WRITTEN_BY_EDITORS))
def test_writing(team: Team, schedule: Schedule, name: str, role: str) -> None:
    assert outcome(team.client(role).post(address(team, schedule, name), FORM)) == EDITORS[role]


@pytest.mark.parametrize("name", sorted(WRITTEN_BY_EDITORS - READ_BY_EDITORS))
def test_what_only_writes_can_not_be_read(team: Team, schedule: Schedule, name: str) -> None:
    assert team.client("editor").get(address(team, schedule, name)).status_code == 405


@pytest.mark.parametrize("name", sorted(READ_BY_MEMBERS))
def test_what_only_reads_can_not_be_written(team: Team, schedule: Schedule, name: str) -> None:
    assert team.client("editor").post(address(team, schedule, name)).status_code == 405


def test_a_refused_post_changes_nothing(team: Team, schedule: Schedule) -> None:
    for name in WRITTEN_BY_EDITORS:
        team.client("viewer").post(address(team, schedule, name), FORM)
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.deleted_at, schedule.name) == (True, None, "Nightly")
    assert (Schedule.objects.count(), Firing.objects.count()) == (1, 0)


def test_a_schedule_of_another_project_is_not_at_this_address(team: Team, schedule: Schedule) -> None:
    from webapp.accounts import actions

    other = actions.create_project(team.people["owner"], "Other")
    assert team.client("owner").get(reverse("schedule", args=[other.slug, schedule.pk])).status_code == 404
    assert team.client("owner").post(reverse("schedule-delete", args=[other.slug, schedule.pk])).status_code == 404


def test_a_viewer_sees_no_button_that_would_be_refused(team: Team, schedule: Schedule) -> None:
    page = team.client("viewer").get(address(team, schedule, "schedule")).content.decode()
    table = team.client("viewer").get(address(team, schedule, "schedules")).content.decode()
    for word in ("Run now", "Disable", "Delete", ">Edit<"):
        assert word not in page.partition('id="schedule"')[2].partition("</main>")[0]
    assert reverse("schedule-new", args=[team.project.slug]) not in table
    assert 'role="switch"' not in table


def test_a_deleted_schedule_and_an_impossible_number_are_not_found(team: Team, schedule: Schedule) -> None:
    client = team.client("editor")
    client.post(address(team, schedule, "schedule-delete"))
    assert client.get(address(team, schedule, "schedule")).status_code == 404
    assert client.get(f"/p/{team.project.slug}/schedules/{2**70}/").status_code == 404
