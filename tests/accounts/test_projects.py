"""Projects are made and renamed."""

from __future__ import annotations

import pytest

from webapp.accounts import actions
from webapp.accounts.errors import Invalid
from webapp.accounts.models import Membership, Project, Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return actions.create_user("ada")


def test_whoever_makes_a_project_owns_it(ada) -> None:
    project = actions.create_project(ada, "  Tiny   Llamas 2 ")
    assert (project.name, project.slug) == ("Tiny Llamas 2", "tiny-llamas-2")
    assert Membership.objects.get(project=project).role == Role.OWNER


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "日本語", "---"])
def test_a_name_without_an_address_or_of_a_wrong_length_is_refused(ada, name) -> None:
    with pytest.raises(Invalid) as caught:
        actions.create_project(ada, name)
    assert [error["loc"] for error in caught.value.errors] == [["name"]]
    assert not Project.objects.exists()


def test_a_second_project_of_the_same_address_is_refused_with_a_way_out(ada) -> None:
    actions.create_project(ada, "Alpha beta")
    with pytest.raises(Invalid, match="'alpha-beta' already; choose another name"):
        actions.create_project(ada, "alpha BETA")
    assert Project.objects.count() == 1


def test_a_long_name_gives_a_slug_that_fits(ada) -> None:
    project = actions.create_project(ada, "a" * 59 + " " + "b" * 40)
    assert project.slug == "a" * 59
    project.full_clean()


def test_renaming_keeps_the_address(ada) -> None:
    project = actions.create_project(ada, "Alpha")
    actions.rename_project(project, "Omega")
    project.refresh_from_db()
    assert (project.name, project.slug) == ("Omega", "alpha")
    with pytest.raises(Invalid, match="1 to 100"):
        actions.rename_project(project, " ")
