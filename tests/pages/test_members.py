from __future__ import annotations

import pytest
from django.urls import reverse

from tests.pages.team import Team
from webapp.accounts.models import Membership

pytestmark = pytest.mark.django_db


def role_of(team: Team, name: str) -> str | None:
    memberships = Membership.objects.filter(project=team.project, user=team.people[name])
    return memberships.values_list("role", flat=True).first()


def address(team: Team, name: str, person: str | None = None) -> str:
    return reverse(name, args=[team.project.slug, *([team.people[person].pk] if person else [])])


def test_an_owner_adds_somebody_by_name(team: Team) -> None:
    fields = {"username": " stranger ", "role": "editor"}
    answer = team.client("owner").post(address(team, "project-members"), fields, follow=True)
    assert role_of(team, "stranger") == "editor"
    assert "stranger is now editor of Code models." in answer.content.decode()


def test_an_unknown_name_is_told_beside_the_field(team: Team) -> None:
    answer = team.client("owner").post(address(team, "project-members"), {"username": "nobody", "role": "editor"})
    assert answer.status_code == 422
    assert "There is nobody called nobody." in answer.content.decode()
    assert team.project.memberships.count() == 3


@pytest.mark.parametrize("role", ["admin", "", "OWNER"])
def test_an_unknown_role_changes_nothing(team: Team, role: str) -> None:
    team.client("owner").post(address(team, "member-role", "editor"), {"role": role})
    assert role_of(team, "editor") == "editor"
    answer = team.client("owner").post(address(team, "project-members"), {"username": "stranger", "role": role})
    assert answer.status_code == 422
    assert role_of(team, "stranger") is None


def test_a_role_is_changed(team: Team) -> None:
    team.client("owner").post(address(team, "member-role", "viewer"), {"role": "owner"})
    assert role_of(team, "viewer") == "owner"


@pytest.mark.parametrize("name", ["member-role", "member-remove"])
def test_the_last_owner_stays(team: Team, name: str) -> None:
    answer = team.client("owner").post(address(team, name, "owner"), {"role": "viewer"}, follow=True)
    assert role_of(team, "owner") == "owner"
    assert "owner is the last owner of code-models" in answer.content.decode()


def test_removing_asks_first(team: Team) -> None:
    asked = team.client("owner").get(address(team, "member-remove", "viewer"))
    assert "Remove viewer from Code models?" in asked.content.decode()
    assert role_of(team, "viewer") == "viewer"
    team.client("owner").post(address(team, "member-remove", "viewer"))
    assert role_of(team, "viewer") is None


def test_a_viewer_may_leave_but_remove_nobody_else(team: Team) -> None:
    client = team.client("viewer")
    assert client.post(address(team, "member-remove", "editor")).status_code == 403
    assert client.post(address(team, "member-remove", "viewer"))["Location"] == reverse("projects")
    assert role_of(team, "viewer") is None
    assert role_of(team, "editor") == "editor"


def test_only_owners_see_the_forms(team: Team) -> None:
    forms = {
        role: team.client(role).get(address(team, "project-members")).content.count(b"<form")
        for role in team.people
        if role != "stranger"
    }
    assert forms["viewer"] == forms["editor"] < forms["owner"] == forms["admin"]


def test_a_person_who_is_no_member_can_not_be_removed(team: Team) -> None:
    assert team.client("owner").post(address(team, "member-remove", "stranger")).status_code == 404
