"""Tokens and sessions."""

from __future__ import annotations

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from tests.api.world import World, bearer
from webapp.accounts import actions as accounts
from webapp.accounts.models import ApiToken


def test_a_token_is_shown_once_and_works_until_it_is_revoked(world: World) -> None:
    owner = world.client("owner")
    created = owner.post("/api/v1/tokens", {"name": "laptop"}, content_type="application/json").json()
    other = bearer(created["token"])
    listed = other.get("/api/v1/tokens").json()["items"]
    assert created["id"] in [token["id"] for token in listed]
    assert all("token" not in token for token in listed)
    assert not ApiToken.objects.filter(digest__contains=created["token"]).exists()
    assert other.delete(f"/api/v1/tokens/{created['id']}").status_code == 204
    refused = other.get("/api/v1/tokens")
    assert refused.status_code == 401
    assert refused["WWW-Authenticate"] == "Bearer"


def test_an_expired_token_opens_nothing(world: World) -> None:
    token, plain = accounts.create_token(world.owner, "short")
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert bearer(plain).get("/api/v1/projects").status_code == 401


def test_a_wrong_token_never_falls_back_to_the_session(world: World) -> None:
    client = Client(headers={"authorization": "Bearer hone_wrong"})
    client.force_login(world.owner, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/api/v1/projects").status_code == 401


def test_a_session_reads_freely_and_writes_with_its_csrf_token_only(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.owner, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/api/v1/projects").status_code == 200
    refused = client.post("/api/v1/projects", {"name": "Gamma"}, content_type="application/json")
    assert refused.status_code == 403
    assert "CSRF" in refused.json()["detail"]
    client.get("/api/v1/docs")  # sets the cookie
    token = client.cookies["csrftoken"].value
    headers = {"x-csrftoken": token}
    accepted = client.post("/api/v1/projects", {"name": "Gamma"}, content_type="application/json", headers=headers)
    assert accepted.status_code == 201


def test_a_bearer_token_needs_no_csrf_token(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    _, plain = accounts.create_token(world.owner, "script")
    headers = {"authorization": f"Bearer {plain}"}
    response = client.post("/api/v1/projects", {"name": "Gamma"}, content_type="application/json", headers=headers)
    assert response.status_code == 201


def test_a_person_who_was_deactivated_is_out(world: World) -> None:
    client = world.client("editor")
    world.editor.is_active = False
    world.editor.save()
    assert client.get("/api/v1/projects").status_code == 401
