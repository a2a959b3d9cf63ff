from __future__ import annotations

import pytest
from django.urls import reverse

from tests.pages.team import Team
from webapp.accounts.models import Project

pytestmark = pytest.mark.django_db


def test_without_a_project_home_leads_to_the_first_one(team: Team) -> None:
    answer = team.client("stranger").get(reverse("home"), follow=True)
    assert answer.redirect_chain[-1][0] == reverse("projects")
    assert "Make the first project" in answer.content.decode()


def test_home_is_the_project_visited_last(team: Team) -> None:
    client = team.client("owner")
    client.post(reverse("project-new"), {"name": "Aardvark"})
    assert client.get(reverse("home"))["Location"] == reverse("runs", args=["aardvark"])
    client.get(reverse("project-members", args=[team.project.slug]))
    assert client.get(reverse("home"))["Location"] == reverse("runs", args=[team.project.slug])


def test_a_project_left_is_no_longer_home(team: Team) -> None:
    client = team.client("viewer")
    client.get(reverse("project-members", args=[team.project.slug]))
    client.post(reverse("member-remove", args=[team.project.slug, team.people["viewer"].pk]))
    assert client.get(reverse("home"))["Location"] == reverse("projects")


def test_who_makes_a_project_owns_it(team: Team) -> None:
    answer = team.client("stranger").post(reverse("project-new"), {"name": "  Pruning   study "})
    project = Project.objects.get(slug="pruning-study")
    assert project.name == "Pruning study"
    assert answer["Location"] == reverse("runs", args=["pruning-study"])
    assert project.memberships.get().user == team.people["stranger"]
    assert project.memberships.get().role == "owner"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Code Models", "There is a project &#x27;code-models&#x27; already"),
        ("", "This field is required"),
        ("***", "must contain a Latin letter"),
    ],
)
def test_a_bad_name_is_told_beside_the_field(team: Team, name: str, sentence: str) -> None:
    answer = team.client("owner").post(reverse("project-new"), {"name": name})
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert Project.objects.count() == 1


def test_renaming_keeps_the_address(team: Team) -> None:
    team.client("owner").post(reverse("project-rename", args=["code-models"]), {"name": "Models of code"})
    team.project.refresh_from_db()
    assert (team.project.name, team.project.slug) == ("Models of code", "code-models")


def test_people_see_their_own_projects_only(team: Team) -> None:
    team.client("stranger").post(reverse("project-new"), {"name": "Secret study"})
    assert "Secret study" not in team.client("owner").get(reverse("projects")).content.decode()
    assert "Secret study" in team.client("admin").get(reverse("projects")).content.decode()
