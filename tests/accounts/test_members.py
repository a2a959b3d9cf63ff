"""Members come, change and go, and a project always keeps an owner."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from webapp.accounts import actions, queries
from webapp.accounts.errors import Invalid, LastOwner
from webapp.accounts.models import Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return actions.create_user("ada")


@pytest.fixture
def project(ada):
    return actions.create_project(ada, "Alpha")


def test_members_are_listed_by_role_and_name(project) -> None:
    for name, role in [("zoe", "viewer"), ("bob", "viewer"), ("eve", "editor"), ("abe", "owner")]:
        actions.set_member(project, actions.create_user(name), role)
    assert [(m.user.username, m.role) for m in queries.members(project)] == [
        ("abe", "owner"),
        ("ada", "owner"),
        ("eve", "editor"),
        ("bob", "viewer"),
        ("zoe", "viewer"),
    ]


def test_a_member_changes_role_without_a_second_membership(project) -> None:
    bob = actions.create_user("bob")
    actions.set_member(project, bob, Role.VIEWER)
    actions.set_member(project, bob, Role.EDITOR)
    assert [membership.role for membership in bob.memberships.all()] == [Role.EDITOR]


def test_an_unknown_role_is_refused(project, ada) -> None:
    with pytest.raises(Invalid, match="one of viewer, editor, owner, not 'king'"):
        actions.set_member(project, ada, "king")


def test_the_last_owner_can_neither_leave_nor_step_down(project, ada) -> None:
    with pytest.raises(LastOwner, match="ada is the last owner of alpha"):
        actions.remove_member(project, ada)
    with pytest.raises(LastOwner):
        actions.set_member(project, ada, Role.EDITOR)
    actions.set_member(project, actions.create_user("bob"), Role.OWNER)
    actions.remove_member(project, ada)
    assert [m.user.username for m in queries.members(project)] == ["bob"]


def test_removing_somebody_who_is_no_member_changes_nothing(project) -> None:
    actions.remove_member(project, actions.create_user("stranger"))
    assert project.memberships.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_the_same_time_leave_one_behind() -> None:
    ada, bob = actions.create_user("ada"), actions.create_user("bob")
    for attempt in range(5):
        project = actions.create_project(ada, f"P{attempt}")
        actions.set_member(project, bob, Role.OWNER)
        gate = threading.Barrier(2)
        refused = []

        def leave(user, project=project, gate=gate, refused=refused) -> None:
            gate.wait()
            try:
                actions.remove_member(project, user)
            except LastOwner:
                refused.append(user)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=leave, args=(user,)) for user in (ada, bob)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert (len(refused), project.memberships.count()) == (1, 1)
