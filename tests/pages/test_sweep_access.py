"""Who gets what from each route below a project's sweeps."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.pages.team import ROLES, Team
from tests.pages.test_run_access import EDITORS, MEMBERS, outcome
from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.pages.sweeps.urls import urlpatterns
from webapp.sweeps.models import Sweep, Trial
from webapp.sweeps.states import SweepStatus

pytestmark = pytest.mark.django_db

READ_BY_MEMBERS = {
    "sweeps", "sweep", "sweep-trials", "sweep-timeline", "sweep-config", "sweep-events", "sweep-head", "sweep-figure",
}  # fmt: skip
READ_BY_EDITORS = {
    "sweep-new", "sweep-import", "sweep-edit", "sweep-extend", "sweep-add", "sweep-stop", "sweep-delete",
}  # fmt: skip
WRITTEN_BY_EDITORS = {
    "sweep-new", "sweep-plan", "sweep-import", "sweep-edit", "sweep-extend", "sweep-add", "sweep-stop", "sweep-delete",
    "sweep-pause", "sweep-resume", "sweep-requeue", "sweep-trial-cancel", "sweep-trial-resume", "sweep-trial-priority",
}  # fmt: skip
OF_A_PROJECT = {"sweeps", "sweep-new", "sweep-plan", "sweep-import"}
NAMES = sorted(str(pattern.name) for pattern in urlpatterns)


@pytest.fixture
def sweep(team: Team) -> Sweep:
    return scene.advanced(scene.create(project=team.project, user=team.people["editor"]))


def address(team: Team, sweep: Sweep, name: str) -> str:
    if name in OF_A_PROJECT:
        return reverse(name, args=[team.project.slug])
    extra = ["best_so_far"] if name == "sweep-figure" else [1] if name.startswith("sweep-trial-") else []
    return reverse(name, args=[team.project.slug, sweep.pk, *extra])


def test_every_route_is_decided_here() -> None:
    assert set(NAMES) == READ_BY_MEMBERS | READ_BY_EDITORS | WRITTEN_BY_EDITORS


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(READ_BY_MEMBERS | READ_BY_EDITORS))
def test_reading(team: Team, sweep: Sweep, name: str, role: str) -> None:
    expected = MEMBERS if name in READ_BY_MEMBERS else EDITORS
    assert outcome(team.client(role).get(address(team, sweep, name))) == expected[role]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(WRITTEN_BY_EDITORS))
def test_writing(team: Team, sweep: Sweep, name: str, role: str) -> None:
    assert outcome(team.client(role).post(address(team, sweep, name))) == EDITORS[role]


@pytest.mark.parametrize("name", sorted(WRITTEN_BY_EDITORS - READ_BY_EDITORS))
def test_what_only_writes_can_not_be_read(team: Team, sweep: Sweep, name: str) -> None:
    assert team.client("editor").get(address(team, sweep, name)).status_code == 405


@pytest.mark.parametrize("name", sorted(READ_BY_MEMBERS))
def test_what_only_reads_can_not_be_written(team: Team, sweep: Sweep, name: str) -> None:
    assert team.client("editor").post(address(team, sweep, name)).status_code == 405


def test_a_refused_post_changes_nothing(team: Team, sweep: Sweep) -> None:
    before = list(Trial.objects.values_list("pk", "status", "priority"))
    for name in sorted(WRITTEN_BY_EDITORS):
        team.client("viewer").post(address(team, sweep, name), {"priority": "5", "trials": "3"})
    sweep.refresh_from_db()
    assert (sweep.status, sweep.deleted_at, sweep.revision) == (SweepStatus.RUNNING, None, 1)
    assert list(Trial.objects.values_list("pk", "status", "priority")) == before


def test_a_sweep_of_another_project_is_not_at_this_address(team: Team) -> None:
    foreign = scene.create(project=runs.project("Other"))
    for name in sorted(READ_BY_MEMBERS - OF_A_PROJECT):
        assert team.client("owner").get(address(team, foreign, name)).status_code == 404
    for name in sorted(WRITTEN_BY_EDITORS - OF_A_PROJECT):
        assert team.client("owner").post(address(team, foreign, name)).status_code == 404


def test_a_run_or_sweep_of_another_project_fills_no_form(team: Team) -> None:
    foreign = scene.create(project=runs.project("Other"), name="secret sweep")
    form = reverse("sweep-new", args=[team.project.slug])
    run = runs.submit(runs.project("Other"), name="secret run", changes={"steps": 4321})
    for query in (f"?clone={foreign.pk}", f"?run={run.pk}"):
        page = team.client("owner").get(form + query).content.decode()
        assert "secret" not in page
        assert "4321" not in page


def test_a_viewer_sees_no_button_that_would_be_refused(team: Team, sweep: Sweep) -> None:
    client = team.client("viewer")
    page = client.get(address(team, sweep, "sweep")).content.decode().partition('id="sweep-head"')[2]
    table = client.get(address(team, sweep, "sweep-trials")).content.decode().partition('id="trials-table"')[2]
    for word in ("Pause", "Stop", "Delete", "Edit", "Clone", "Extend", "Add a point"):
        assert word not in page
    assert "<button" not in table.partition("</table>")[0]
    assert address(team, sweep, "sweep-new") not in client.get(address(team, sweep, "sweeps")).content.decode()


def test_a_deleted_sweep_and_an_impossible_number_are_not_found(team: Team, sweep: Sweep) -> None:
    client = team.client("editor")
    client.post(address(team, sweep, "sweep-delete"))
    assert client.get(address(team, sweep, "sweep")).status_code == 404
    assert client.get(f"/p/{team.project.slug}/sweeps/{2**70}/").status_code == 404
    assert client.post(f"/p/{team.project.slug}/sweeps/{sweep.pk}/trials/{2**70}/cancel/").status_code == 404
