"""Login links sign one person in, once, within fifteen minutes."""

from __future__ import annotations

import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from webapp.accounts import actions
from webapp.accounts.models import LoginLink

pytestmark = pytest.mark.django_db


def test_a_link_signs_in_once() -> None:
    ada = actions.create_user("ada")
    plain = actions.create_login_link(ada)
    assert actions.use_login_link(plain) == ada
    assert actions.use_login_link(plain) is None
    assert actions.use_login_link("nonsense") is None


def test_the_secret_of_a_link_is_not_kept() -> None:
    plain = actions.create_login_link(actions.create_user("ada"))
    assert plain not in str(LoginLink.objects.values().get())


def test_a_link_lives_fifteen_minutes() -> None:
    plain = actions.create_login_link(actions.create_user("ada"))
    life = LoginLink.objects.get().expires_at - timezone.now()
    assert timedelta(minutes=14, seconds=50) < life <= timedelta(minutes=15)
    LoginLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert actions.use_login_link(plain) is None


def test_a_deactivated_person_is_not_let_in() -> None:
    ada = actions.create_user("ada")
    plain = actions.create_login_link(ada)
    ada.is_active = False
    ada.save()
    assert actions.use_login_link(plain) is None


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_follow_a_link_at_once_one_gets_in() -> None:
    plain = actions.create_login_link(actions.create_user("ada"))
    gate, entered = threading.Barrier(8), []

    def follow() -> None:
        gate.wait()
        entered.append(actions.use_login_link(plain))
        connections.close_all()

    threads = [threading.Thread(target=follow) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len([user for user in entered if user]) == 1


def test_the_command_prints_an_address_that_works() -> None:
    admin = actions.ensure_admin()
    out = StringIO()
    call_command("login_link", base="https://hone.example/", stdout=out)
    address = out.getvalue().strip()
    assert address.startswith("https://hone.example/")
    assert actions.use_login_link(address.rstrip("/").rsplit("/", 1)[-1]) == admin


def test_the_command_names_who_is_missing() -> None:
    with pytest.raises(CommandError, match="no active user 'nobody'"):
        call_command("login_link", "nobody")
