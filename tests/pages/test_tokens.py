from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.pages.team import Team
from webapp.accounts.models import ApiToken
from webapp.accounts.queries import user_of_token

pytestmark = pytest.mark.django_db
PLAIN = re.compile(r"hone_[\w-]{43}")


def test_a_token_is_shown_once_and_works(team: Team) -> None:
    client = team.client("viewer")
    made = client.post(reverse("tokens"), {"name": "laptop", "life": ""})
    plain = PLAIN.search(made.content.decode())
    assert plain is not None
    assert user_of_token(plain.group()) == team.people["viewer"]
    assert "no-store" in made["Cache-Control"]
    assert not PLAIN.search(client.get(reverse("tokens")).content.decode())
    assert plain.group() not in str(client.session.items())


def test_a_token_may_end(team: Team) -> None:
    team.client("viewer").post(reverse("tokens"), {"name": "CI", "life": "7"})
    token = ApiToken.objects.get(name="CI")
    assert token.expires_at is not None
    assert timedelta(days=7) - timedelta(seconds=60) <= token.expires_at - timezone.now() < timedelta(days=8)


@pytest.mark.parametrize("fields", [{"name": ""}, {"name": "x" * 101}, {"name": "x", "life": "9999"}])
def test_bad_input_makes_no_token(team: Team, fields: dict[str, str]) -> None:
    answer = team.client("viewer").post(reverse("tokens"), fields)
    assert answer.status_code == 422
    assert ApiToken.objects.count() == 0


def test_revoking_asks_then_ends_it(team: Team) -> None:
    client = team.client("viewer")
    plain = PLAIN.search(client.post(reverse("tokens"), {"name": "laptop", "life": ""}).content.decode())
    assert plain is not None
    address = reverse("token-revoke", args=[ApiToken.objects.get().pk])
    assert "Revoke laptop?" in client.get(address).content.decode()
    assert user_of_token(plain.group()) is not None
    client.post(address)
    assert user_of_token(plain.group()) is None
