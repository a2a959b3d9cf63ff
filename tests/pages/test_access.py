"""Who gets what from each of these routes."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from tests.pages.team import ROLES, Team
from tests.runs import scene
from webapp.accounts import actions
from webapp.accounts.models import ApiToken
from webapp.runs.models import Queue, Run, Worker

pytestmark = pytest.mark.django_db

TO_SIGN_IN = "302 to /sign-in/"
PEOPLE = dict.fromkeys(ROLES, 200) | {"anonymous": TO_SIGN_IN}
MEMBERS = PEOPLE | {"stranger": 404}
OWNERS = MEMBERS | {"viewer": 403, "editor": 403}
EDITORS = MEMBERS | {"viewer": 403}
ADMINS = dict.fromkeys(ROLES, 403) | {"anonymous": TO_SIGN_IN, "admin": 200}
ANYONE = dict.fromkeys(ROLES, 200)

GET = {
    "account": PEOPLE, "tokens": PEOPLE, "projects": PEOPLE, "project-new": PEOPLE, "queue": PEOPLE, "workers": PEOPLE,
    "methods": PEOPLE, "method": PEOPLE, "styleguide": PEOPLE, "capacity": PEOPLE, "project-members": MEMBERS,
    "member-remove": OWNERS, "login-link": ANYONE, "project": MEMBERS,
    "compare": PEOPLE, "compare-figure": PEOPLE, "compare-csv": PEOPLE, "compare-masks": PEOPLE,
    "compare-masks-figure": PEOPLE, "compare-diff": PEOPLE, "compare-curves": PEOPLE, "compare-curves-csv": PEOPLE,
    "compare-curves-data": {**PEOPLE, **dict.fromkeys(set(ROLES) - {"anonymous"}, 422)},  # it names no metric
}  # fmt: skip
POST = {
    "project-members": OWNERS, "project-rename": OWNERS, "member-role": OWNERS, "member-remove": OWNERS,
    "queue-move": EDITORS, "queue-pause": ADMINS, "queue-resume": ADMINS, "worker-drain": ADMINS,
    "worker-undrain": ADMINS, "project-new": PEOPLE, "tokens": PEOPLE,
}  # fmt: skip
FIELDS = {
    "project-members": {"username": "stranger", "role": "viewer"},
    "project-rename": {"name": "Renamed"},
    "member-role": {"role": "editor"},
    "queue-move": {"position": "1"},
    "project-new": {"name": "Another"},
    "tokens": {"name": "laptop", "life": ""},
}


def _address(team: Team, name: str, run: Run, worker: Worker) -> str:
    slug, guest = team.project.slug, actions.create_user("guest")
    actions.set_member(team.project, guest, "viewer")
    args = {
        "project": [slug], "project-members": [slug], "project-rename": [slug], "member-role": [slug, guest.pk],
        "member-remove": [slug, guest.pk], "queue-move": [run.pk], "queue-pause": [run.queue_id],
        "queue-resume": [run.queue_id], "worker-drain": [worker.pk], "worker-undrain": [worker.pk],
        "method": ["adapters", "lora"], "compare-figure": ["trainable"], "compare-masks-figure": ["whole"],
        "login-link": ["a" * 43],
    }  # fmt: skip
    return reverse(name, args=args.get(name, []))


@pytest.fixture
def run(team: Team) -> Run:
    return scene.submit(team.project, user=team.people["owner"])


@pytest.fixture
def worker() -> Worker:
    return scene.worker()


def _outcome(answer: object) -> int | str:
    """The status, with a redirect to anywhere but the sign-in page taken for the success it is."""
    status, location = answer.status_code, answer.headers.get("Location", "")  # type: ignore[attr-defined]
    if status == 302:
        return TO_SIGN_IN if location.startswith("/sign-in/") else 200
    return status  # type: ignore[no-any-return]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", GET)
def test_reading(team: Team, run: Run, worker: Worker, name: str, role: str) -> None:
    assert _outcome(team.client(role).get(_address(team, name, run, worker))) == GET[name][role]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", POST)
def test_writing(team: Team, run: Run, worker: Worker, name: str, role: str) -> None:
    answer = team.client(role).post(_address(team, name, run, worker), FIELDS.get(name, {}))
    assert _outcome(answer) == POST[name][role]


@pytest.mark.parametrize("name", sorted(set(POST) - {"project-new", "tokens", "project-members", "member-remove"}))
def test_what_only_writes_can_not_be_read(team: Team, run: Run, worker: Worker, name: str) -> None:
    assert team.client("admin").get(_address(team, name, run, worker)).status_code == 405


def test_a_refusal_says_which_role_it_takes(team: Team) -> None:
    answer = team.client("viewer").post(reverse("project-rename", args=[team.project.slug]), {"name": "x"})
    assert "This takes the role owner in Code models; yours is viewer." in answer.content.decode()


def _without_csrf(content: bytes) -> bytes:
    return re.sub(rb'"X-CSRFToken": "\w{64}"', b"", content)


def test_strangers_can_not_tell_a_project_from_none(team: Team) -> None:
    client = team.client("stranger")
    real = client.get(reverse("project-members", args=[team.project.slug]))
    none = client.get(reverse("project-members", args=["no-such-project"]))
    assert real.status_code == none.status_code == 404
    assert _without_csrf(real.content) == _without_csrf(none.content)


def test_nobody_revokes_the_token_of_another(team: Team) -> None:
    token, _ = actions.create_token(team.people["owner"], "laptop")
    address = reverse("token-revoke", args=[token.pk])
    for role in ("stranger", "viewer", "editor", "admin"):
        assert team.client(role).get(address).status_code == 404
        assert team.client(role).post(address).status_code == 404
    assert ApiToken.objects.filter(pk=token.pk).exists()
    assert team.client("owner").post(address).status_code == 302
    assert not ApiToken.objects.filter(pk=token.pk).exists()


def test_a_refused_pause_pauses_nothing(team: Team, run: Run) -> None:
    team.client("owner").post(reverse("queue-pause", args=[run.queue_id]))
    assert not Queue.objects.get(name=run.queue_id).paused
