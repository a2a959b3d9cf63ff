"""Who gets what from each route below a project's runs."""

from __future__ import annotations

import struct

import pytest
from django.http import HttpResponse
from django.urls import reverse

from tests.pages.team import ROLES, Team
from tests.runs import scene
from webapp.metrics.layouts import Settings, save_layout
from webapp.metrics.models import MediaItem
from webapp.pages.runs.urls import urlpatterns
from webapp.runs import saved_views
from webapp.runs.models import Run
from webapp.runs.saved_views import Shown
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db

EDGES = struct.pack("<dd", 0.0, 1.0)
TO_SIGN_IN = "302 to /sign-in/"
MEMBERS = dict.fromkeys(ROLES, 200) | {"anonymous": TO_SIGN_IN, "stranger": 404}
EDITORS = MEMBERS | {"viewer": 403}
READ_BY_MEMBERS = {
    "runs", "run", "run-log", "run-config", "run-artifacts", "run-attempts", "run-provenance", "run-head", "run-figure",
    "run-panels", "run-export", "run-views", "run-view", "runs-columns",
    "run-media", "run-media-figure",
}  # fmt: skip
READ_BY_EDITORS = {"run-new", "run-edit", "run-delete"}
WRITTEN_BY_EDITORS = {
    "runs-bulk", "run-new", "run-plan", "run-fits", "run-edit", "run-cancel", "run-pause", "run-resume", "run-requeue",
    "run-delete", "run-layout-save", "run-layout-delete", "run-view-save", "run-view-change", "run-view-delete",
}  # fmt: skip
OF_A_PROJECT = {
    "runs", "runs-bulk", "runs-columns", "run-new", "run-plan", "run-fits", "run-layout-save", "run-export",
    "run-views", "run-view-save",
}  # fmt: skip
OF_A_VIEW = {"run-view", "run-view-change", "run-view-delete"}
NAMES = sorted(str(pattern.name) for pattern in urlpatterns)


@pytest.fixture
def run(team: Team) -> Run:
    return scene.running(where=team.project, user=team.people["editor"]).run


def address(team: Team, run: Run, name: str) -> str:
    if name in OF_A_PROJECT:
        return reverse(name, args=[team.project.slug])
    if name == "run-layout-delete":
        layout = save_layout(team.project, team.people["owner"], "mine", Settings())
        return reverse(name, args=[team.project.slug, layout.pk])
    if name in OF_A_VIEW:
        view = saved_views.save(team.project, team.people["owner"], "mine", Shown())
        return reverse(name, args=[team.project.slug, view.pk])
    if name == "run-media-figure":
        MediaItem.objects.create(
            run=run, name="weights", kind="histogram", step=1, time=1.0, edges=EDGES, counts=EDGES[8:]
        )
        return reverse(name, args=[team.project.slug, run.pk]) + "?name=weights"
    extra = ["memory"] if name == "run-figure" else []
    return reverse(name, args=[team.project.slug, run.pk, *extra])


def outcome(answer: HttpResponse) -> int | str:
    """The status, with a redirect to anywhere but the sign-in page, or a form shown again, taken for being let in."""
    if answer.status_code == 302:
        return TO_SIGN_IN if answer["Location"].startswith("/sign-in/") else 200
    return 200 if answer.status_code == 422 else answer.status_code


def test_every_route_is_decided_here() -> None:
    assert set(NAMES) == READ_BY_MEMBERS | READ_BY_EDITORS | WRITTEN_BY_EDITORS


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(READ_BY_MEMBERS | READ_BY_EDITORS))
def test_reading(team: Team, run: Run, name: str, role: str) -> None:
    expected = MEMBERS if name in READ_BY_MEMBERS else EDITORS
    assert outcome(team.client(role).get(address(team, run, name))) == expected[role]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(WRITTEN_BY_EDITORS))
def test_writing(team: Team, run: Run, name: str, role: str) -> None:
    fields = {"run": [run.pk], "do": "pause"} if name == "runs-bulk" else {}
    assert outcome(team.client(role).post(address(team, run, name), fields)) == EDITORS[role]


@pytest.mark.parametrize("name", sorted(WRITTEN_BY_EDITORS - READ_BY_EDITORS))
def test_what_only_writes_can_not_be_read(team: Team, run: Run, name: str) -> None:
    assert team.client("editor").get(address(team, run, name)).status_code == 405


@pytest.mark.parametrize("name", sorted(READ_BY_MEMBERS))
def test_what_only_reads_can_not_be_written(team: Team, run: Run, name: str) -> None:
    assert team.client("editor").post(address(team, run, name)).status_code == 405


def test_a_refused_post_changes_nothing(team: Team, run: Run) -> None:
    for name in ("run-cancel", "run-pause", "run-delete"):
        team.client("viewer").post(address(team, run, name))
    team.client("viewer").post(address(team, run, "runs-bulk"), {"run": [run.pk], "do": "cancel"})
    run.refresh_from_db()
    assert (run.status, run.deleted_at) == (Status.RUNNING, None)


def test_a_run_of_another_project_is_not_at_this_address(team: Team) -> None:
    """Nor can it be ticked into a bulk action of one's own project."""
    foreign = scene.submit(scene.project("Other"), user=scene.person())
    client = team.client("owner")
    assert client.get(reverse("run", args=[team.project.slug, foreign.pk])).status_code == 404
    client.post(reverse("runs-bulk", args=[team.project.slug]), {"run": [foreign.pk], "do": "cancel"})
    foreign.refresh_from_db()
    assert foreign.status == Status.QUEUED


def test_a_viewer_sees_no_button_that_would_be_refused(team: Team, run: Run) -> None:
    page = team.client("viewer").get(reverse("run", args=[team.project.slug, run.pk])).content.decode()
    table = team.client("viewer").get(reverse("runs", args=[team.project.slug])).content.decode()
    for word in ("Pause", "Cancel", "Delete", "Clone and edit"):
        assert word not in page.partition('id="run-head"')[2]
        assert word not in table.partition('id="runs-table"')[2]
    assert reverse("run-new", args=[team.project.slug]) not in table
    assert 'name="run"' not in table


def test_a_deleted_run_and_an_impossible_number_are_not_found(team: Team, run: Run) -> None:
    client = team.client("editor")
    client.post(address(team, run, "run-delete"))
    assert client.get(address(team, run, "run")).status_code == 404
    assert client.get(f"/p/{team.project.slug}/runs/{2**70}/").status_code == 404
