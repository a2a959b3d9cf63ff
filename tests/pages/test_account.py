from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.pages.team import PASSWORD, Team

pytestmark = pytest.mark.django_db


def signs_in(name: str, password: str) -> bool:
    return Client().post(reverse("sign-in"), {"username": name, "password": password}).status_code == 302


def test_who_came_by_link_sets_a_first_password_without_an_old_one(team: Team) -> None:
    client = team.client("viewer")
    assert 'name="current"' not in client.get(reverse("account")).content.decode()
    assert client.post(reverse("account"), {"password": PASSWORD}).status_code == 302
    assert signs_in("viewer", PASSWORD)
    assert client.get(reverse("account")).status_code == 200


def test_changing_a_password_takes_the_old_one(team: Team) -> None:
    client = team.client("viewer")
    client.post(reverse("account"), {"password": PASSWORD})
    refused = client.post(reverse("account"), {"current": "guess", "password": "another good one"})
    assert refused.status_code == 422
    assert "This is not your current password." in refused.content.decode()
    assert signs_in("viewer", PASSWORD)


def test_a_new_password_signs_out_the_other_browsers(team: Team) -> None:
    here, there = team.client("viewer"), team.client("viewer")
    here.post(reverse("account"), {"password": PASSWORD})
    assert here.get(reverse("account")).status_code == 200
    assert there.get(reverse("account")).status_code == 302


@pytest.mark.parametrize("password", ["short", "12345678901", "password", "viewer"])
def test_a_weak_password_is_refused_with_the_rule(team: Team, password: str) -> None:
    answer = team.client("viewer").post(reverse("account"), {"password": password})
    assert answer.status_code == 422
    assert 'class="errorlist"' in answer.content.decode()
    team.people["viewer"].refresh_from_db()
    assert not team.people["viewer"].has_usable_password()
