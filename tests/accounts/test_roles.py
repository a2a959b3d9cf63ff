"""Each project role, the superuser, the stranger, the deactivated and the anonymous."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser

from webapp.accounts import actions
from webapp.accounts.models import Role
from webapp.accounts.roles import allows, projects_of, role_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return actions.create_project(actions.create_user("owner"), "Alpha")


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, [Role.VIEWER]),
        (Role.EDITOR, [Role.VIEWER, Role.EDITOR]),
        (Role.OWNER, [Role.VIEWER, Role.EDITOR, Role.OWNER]),
    ],
)
def test_a_role_allows_itself_and_what_is_below(project, role, allowed) -> None:
    user = actions.create_user("member")
    actions.set_member(project, user, role)
    assert role_of(user, project) == role
    assert [needed for needed in Role if allows(user, project, needed)] == allowed
    assert list(projects_of(user)) == [project]


def test_a_stranger_has_no_role_and_sees_no_project(project) -> None:
    stranger = actions.create_user("stranger")
    assert role_of(stranger, project) is None
    assert not any(allows(stranger, project, needed) for needed in Role)
    assert list(projects_of(stranger)) == []


def test_an_anonymous_visitor_has_no_role(project) -> None:
    assert role_of(AnonymousUser(), project) is None
    assert not allows(AnonymousUser(), project, Role.VIEWER)
    assert list(projects_of(AnonymousUser())) == []


def test_a_superuser_owns_every_project(project) -> None:
    admin = actions.ensure_admin()
    assert role_of(admin, project) == Role.OWNER
    assert list(projects_of(admin)) == [project]


def test_a_deactivated_person_keeps_no_rights(project) -> None:
    for user in (actions.ensure_admin(), actions.create_user("leaver")):
        actions.set_member(project, user, Role.OWNER)
        user.is_active = False
        user.save()
        assert role_of(user, project) is None
        assert list(projects_of(user)) == []
