"""People are made by commands and sign in by a link until they set a password."""

from __future__ import annotations

from io import StringIO
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from webapp.accounts import actions
from webapp.accounts.errors import Invalid
from webapp.accounts.models import User

pytestmark = pytest.mark.django_db


def test_the_admin_is_made_once_and_has_no_password() -> None:
    admin = actions.ensure_admin()
    assert (admin.username, admin.is_superuser, admin.has_usable_password()) == ("admin", True, False)
    assert actions.ensure_admin() == admin
    assert User.objects.count() == 1


def test_the_admin_keeps_the_password_that_they_have_set() -> None:
    actions.set_password(actions.ensure_admin(), "correct horse battery staple")
    assert actions.ensure_admin().check_password("correct horse battery staple")


def test_a_person_without_a_password_can_not_sign_in_with_one() -> None:
    assert not actions.create_user("ada").has_usable_password()


@pytest.mark.parametrize("password", ["short", "12345678901", "password"])
def test_a_weak_password_is_refused_with_its_reason(password) -> None:
    with pytest.raises(Invalid) as caught:
        actions.create_user("ada", password=password)
    assert {tuple(error["loc"]) for error in caught.value.errors} == {("password",)}
    assert not User.objects.exists()


@pytest.mark.parametrize("name", ["", "has space", "x" * 151])
def test_a_bad_name_is_refused(name) -> None:
    with pytest.raises(Invalid) as caught:
        actions.create_user(name)
    assert caught.value.errors[0]["loc"] == ["username"]


def test_a_name_is_given_once() -> None:
    actions.create_user("ada")
    with pytest.raises(Invalid, match="already exists"):
        actions.create_user("ada")


def test_the_command_makes_a_superuser_and_prints_how_they_sign_in(client: Client) -> None:
    out = StringIO()
    call_command("create_user", "root", superuser=True, email="root@example.org", stdout=out)
    user = User.objects.get(username="root")
    assert (user.is_superuser, user.email) == (True, "root@example.org")
    created, link = out.getvalue().splitlines()
    assert created.startswith("Created root.")
    client.post(urlsplit(link).path)
    assert client.session["_auth_user_id"] == str(user.pk)
    with pytest.raises(CommandError, match="already exists"):
        call_command("create_user", "root")
