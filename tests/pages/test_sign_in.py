from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.pages.team import PASSWORD
from webapp.accounts import actions
from webapp.accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return actions.create_user("ada", password=PASSWORD)


def sign_in(client: Client, password: str = PASSWORD, **fields: str):
    return client.post(reverse("sign-in"), {"username": "ada", "password": password, **fields})


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_the_right_password_opens_the_page_that_was_asked_for(client: Client, ada: User) -> None:
    asked = client.get(reverse("tokens"))
    assert asked["Location"] == "/sign-in/?next=/tokens/"
    assert 'name="next" value="/tokens/"' in client.get(asked["Location"]).content.decode().replace("\n", " ")
    assert sign_in(client, next="/tokens/")["Location"] == "/tokens/"
    assert is_signed_in(client)


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_a_next_address_elsewhere_is_not_followed(client: Client, ada: User, target: str) -> None:
    assert sign_in(client, next=target)["Location"] == reverse("home")


def test_a_wrong_password_says_nothing_about_which_half_was_wrong(client: Client, ada: User) -> None:
    known = sign_in(client, "wrong")
    unknown = client.post(reverse("sign-in"), {"username": "nobody", "password": "wrong"})
    assert known.status_code == unknown.status_code == 401
    assert "Wrong username or password." in known.content.decode()
    assert "Wrong username or password." in unknown.content.decode()
    assert not is_signed_in(client)


def test_the_fifth_wrong_password_closes_the_door_to_the_right_one_too(client: Client, ada: User) -> None:
    answers = [sign_in(client, "wrong").status_code for _ in range(5)]
    assert answers == [401, 401, 401, 401, 429]
    locked = sign_in(client)
    assert locked.status_code == 429
    assert "closed from here for 15 minutes" in locked.content.decode()
    assert not is_signed_in(client)


def test_people_elsewhere_are_not_locked_out_with_an_attacker(client: Client, ada: User) -> None:
    for _ in range(5):
        sign_in(client, "wrong")
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert sign_in(elsewhere).status_code == 302
    assert is_signed_in(elsewhere)


def test_looking_at_a_link_does_not_use_it_up(client: Client, ada: User) -> None:
    address = reverse("login-link", args=[actions.create_login_link(ada)])
    for _ in range(3):
        assert client.get(address).status_code == 200
        assert client.head(address).status_code == 405
    assert not is_signed_in(client)
    assert client.post(address)["Location"] == reverse("home")
    assert is_signed_in(client)


def test_a_link_signs_in_once(client: Client, ada: User) -> None:
    address = reverse("login-link", args=[actions.create_login_link(ada)])
    client.post(address)
    second = Client()
    answer = second.post(address)
    assert answer.status_code == 410
    assert "This link is spent" in answer.content.decode()
    assert not is_signed_in(second)


def test_the_links_page_is_kept_by_nobody_and_told_to_nobody(client: Client, ada: User) -> None:
    answer = client.get(reverse("login-link", args=[actions.create_login_link(ada)]))
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "same-origin"


def test_signing_out_takes_a_post(client: Client, ada: User) -> None:
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(reverse("sign-out")).status_code == 405
    assert client.post(reverse("sign-out"))["Location"] == reverse("sign-in")
    assert not is_signed_in(client)


def test_every_form_wants_its_csrf_token(ada: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    answer = sign_in(strict)
    assert answer.status_code == 403
    assert "This form is too old" in answer.content.decode()
