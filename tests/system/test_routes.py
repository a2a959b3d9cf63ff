"""Every address is decided for every role: this walks the URL map and fails on one that no table names."""

import json
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.pages import (
    test_access,
    test_fit_access,
    test_ladders,
    test_protocol_access,
    test_run_access,
    test_schedule_access,
    test_sweep_access,
)
from tests.pages.team import ROLES, Team

# Decided by tests of their own: tests/pages/test_sign_in.py, test_tokens.py, and below.
ELSEWHERE = {"home", "sign-in", "sign-out", "token-revoke", "healthz", "prometheus"}
TABLES = (test_fit_access, test_ladders, test_protocol_access, test_run_access, test_schedule_access, test_sweep_access)
DECIDED = {*test_access.GET, *test_access.POST, *(name for table in TABLES for name in table.NAMES), *ELSEWHERE}


def routes(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    """Names of all routes but those of the API, which tests/api/test_access.py walks."""
    for entry in patterns:
        if isinstance(entry, URLResolver):
            if entry.namespace != "api":
                yield from routes(entry.url_patterns)
        else:
            yield str(entry.name)


def test_every_route_outside_the_api_is_decided_in_a_table() -> None:
    assert set(routes(get_resolver().url_patterns)) == DECIDED


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
def test_anyone_may_ask_whether_it_is_healthy(team: Team, role: str) -> None:
    answer = team.client(role).get(reverse("healthz"))
    assert (answer.status_code, json.loads(answer.content)) == (200, {"status": "ok", "broken": []})


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
def test_a_browser_session_does_not_open_the_prometheus_page(team: Team, role: str) -> None:
    assert team.client(role).get(reverse("prometheus")).status_code == 401


@pytest.mark.django_db
def test_prometheus_needs_the_token_of_an_admin(team: Team) -> None:
    from webapp.accounts import actions

    for role, status in {"owner": 401, "admin": 200}.items():
        _, token = actions.create_token(team.people[role], "prometheus")
        answer = team.client("anonymous").get(reverse("prometheus"), headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status
    assert b"# TYPE hone_runs gauge\n" in answer.content
