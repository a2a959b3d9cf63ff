"""What the strict content security policy would block must not be in any page to begin with."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import reverse

from gpu_jobs import registry
from tests.pages.team import Team
from tests.runs import scene
from webapp.accounts import actions
from webapp.pages import frame
from webapp.pages.views import errors

pytestmark = pytest.mark.django_db


class Inline(HTMLParser):
    """Collects style and script that stand in the page, and what a screen reader would miss."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: list[str] = []
        self.labelled: set[str] = set()
        self.controls: list[dict[str, str | None]] = []
        self.headings = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in given):
            self.found.append(tag)
        self.found += [f"{tag} {name}" for name in given if name == "style" or name.startswith(("on", "hx-on"))]
        self.found += [f"{tag} {name}={value}" for name, value in attrs if (value or "").startswith("javascript:")]
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.headings += tag == "h1"
        if tag == "label" and given.get("for"):
            self.labelled.add(given["for"] or "")
        if tag in ("input", "select", "textarea", "progress") and given.get("type") != "hidden":
            self.controls.append(given)

    def unlabelled(self) -> list[dict[str, str | None]]:
        return [given for given in self.controls if "aria-label" not in given and given.get("id") not in self.labelled]


def pages(team: Team) -> list[str]:
    """Every page of this package's own views, filled."""
    slug, owner = team.project.slug, team.people["owner"]
    token, _ = actions.create_token(owner, "laptop")
    scene.running(where=team.project, user=owner, name="first")
    scene.submit(team.project, user=owner, name="second")
    scene.submit(team.project, user=owner, name="third")
    named = ["account", "tokens", "projects", "project-new", "queue", "workers", "methods", "styleguide", "capacity"]
    addresses = [reverse(name) for name in named]
    addresses += [reverse("project-members", args=[slug]), reverse("token-revoke", args=[token.pk])]
    addresses += [reverse("member-remove", args=[slug, team.people["viewer"].pk]), "/no/such/page/"]
    addresses += [
        reverse("method", args=[family, name]) for family in registry.families() for name in registry.methods(family)
    ]
    return addresses


def check(address: str, response: HttpResponse) -> None:
    page = Inline(response.content.decode())
    assert page.found == [], address
    assert len(page.ids) == len(set(page.ids)), (address, sorted(page.ids))
    assert page.unlabelled() == [], address


def test_no_page_has_inline_style_or_script_and_every_control_has_a_name(team: Team) -> None:
    for address in pages(team):
        for role in ("owner", "admin"):
            response = team.client(role).get(address)
            check(address, response)


def test_every_full_page_has_one_heading_of_the_first_rank(team: Team) -> None:
    for address in pages(team):
        response = team.client("owner").get(address)
        if b"<html" in response.content:
            assert Inline(response.content.decode()).headings == 1, address


def test_the_pages_before_sign_in_are_clean_too(team: Team) -> None:
    for address in (reverse("sign-in"), reverse("login-link", args=["x" * 43])):
        check(address, team.client("anonymous").get(address))


def test_fragments_are_clean_and_are_no_whole_pages(team: Team) -> None:
    pages(team)
    for name in ("queue", "workers"):
        response = team.client("admin").get(reverse(name), headers={"HX-Request": "true"})
        check(name, response)
        assert b"<html" not in response.content
        assert "HX-Request" in response["Vary"]


def test_going_back_in_the_history_gets_the_whole_page(team: Team) -> None:
    headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert b"<html" in team.client("owner").get(reverse("queue"), headers=headers).content


def test_the_policy_allows_nothing_inline(team: Team) -> None:
    policy = team.client("owner").get(reverse("queue"))["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_a_name_full_of_markup_stays_text(team: Team) -> None:
    evil = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    scene.submit(team.project, user=team.people["owner"], name=evil)
    response = team.client("owner").get(reverse("queue"))
    check("queue", response)
    assert "&lt;script&gt;" in response.content.decode()


@pytest.mark.parametrize("view", [errors.server_error, errors.bad_request, errors.not_found, errors.permission_denied])
def test_an_error_page_needs_no_database(view: Callable[..., HttpResponse], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        response = view(RequestFactory().get("/anything/"))
    assert response.status_code >= 400
    check("error", response)


def test_an_error_of_ours_is_told_without_its_details(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    client = team.client("owner")
    client.raise_request_exception = False
    monkeypatch.setattr(frame, "counts", lambda *_: 1 / 0)
    answer = client.get(reverse("capacity"))
    assert answer.status_code == 500
    assert "Something broke on our side" in answer.content.decode()
    assert "division by zero" not in answer.content.decode()
