"""Who gets what from each route below a project's scaling laws."""

from __future__ import annotations

import json

import pytest
from django.http import HttpResponse
from django.urls import URLPattern, reverse

from tests.pages import fits
from tests.pages.team import ROLES, Team
from tests.pages.test_run_access import EDITORS, MEMBERS, outcome
from tests.runs import scene
from webapp.pages.scaling.urls import urlpatterns
from webapp.scaling.models import Fit

pytestmark = pytest.mark.django_db

READ_BY_MEMBERS = {
    "scaling", "fit", "fit-numbers", "fit-points", "fit-revisions", "fit-spec", "fit-head", "fit-figure", "fit-export",
    "fit-run-figure", "fits-compare", "fits-figure",
}  # fmt: skip
READ_BY_EDITORS = {"fit-new", "fit-edit", "fit-delete"}
WRITTEN_BY_EDITORS = {"fit-new", "fit-preview", "fit-edit", "fit-revise", "fit-keep", "fit-delete"}
OF_A_PROJECT = {"scaling", "fit-new", "fit-preview", "fits-compare", "fits-figure"}
EXTRA = {
    "fit-figure": ["residuals"],
    "fit-export": ["csv"],
    "fit-run-figure": ["residuals"],
    "fits-figure": ["compare"],
}
NAMES = sorted(str(pattern.name) for pattern in urlpatterns if isinstance(pattern, URLPattern))


@pytest.fixture
def fit(team: Team) -> Fit:
    return fits.fit_of(team.project, team.people["editor"])


def address(team: Team, fit: Fit, name: str) -> str:
    number = [] if name in OF_A_PROJECT else [fit.revisions.get().run_id if name == "fit-run-figure" else fit.pk]
    found = reverse(name, args=[team.project.slug, *number, *EXTRA.get(name, [])])
    if name != "fits-figure":
        return found
    tied = fits.fit_of(team.project, team.people["editor"], fits.spec(law={"name": "chinchilla", "tied": True}), "tied")
    return f"{found}?fits={fit.pk},{tied.pk}"


def test_every_route_is_decided_here() -> None:
    assert set(NAMES) == READ_BY_MEMBERS | READ_BY_EDITORS | WRITTEN_BY_EDITORS


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(READ_BY_MEMBERS | READ_BY_EDITORS))
def test_reading(team: Team, fit: Fit, name: str, role: str) -> None:
    expected = MEMBERS if name in READ_BY_MEMBERS else EDITORS
    assert outcome(team.client(role).get(address(team, fit, name))) == expected[role]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(WRITTEN_BY_EDITORS))
def test_writing(team: Team, fit: Fit, name: str, role: str) -> None:
    assert outcome(post(team, fit, name, role)) == EDITORS[role]


def post(team: Team, fit: Fit, name: str, role: str) -> HttpResponse:
    fields = {"mode": "json", "spec": json.dumps(fits.spec()), "do": "fit", "kept": "no"}
    return team.client(role).post(address(team, fit, name), fields)  # type: ignore[return-value]


@pytest.mark.parametrize("name", sorted(WRITTEN_BY_EDITORS - READ_BY_EDITORS))
def test_what_only_writes_can_not_be_read(team: Team, fit: Fit, name: str) -> None:
    assert team.client("editor").get(address(team, fit, name)).status_code == 405


@pytest.mark.parametrize("name", sorted(READ_BY_MEMBERS))
def test_what_only_reads_can_not_be_written(team: Team, fit: Fit, name: str) -> None:
    assert team.client("editor").post(address(team, fit, name)).status_code == 405


def test_a_refused_post_changes_nothing(team: Team, fit: Fit) -> None:
    for name in sorted(WRITTEN_BY_EDITORS):
        post(team, fit, name, "viewer")
    fit.refresh_from_db()
    assert (fit.deleted_at, fit.is_kept_current, fit.revisions.count(), Fit.objects.count()) == (None, False, 1, 1)


def test_a_fit_of_another_project_is_not_at_this_address(team: Team) -> None:
    """Nor is it compared, nor is its copy opened."""
    foreign = fits.fit_of(scene.project("Other"), scene.person(), name="foreign one")
    client = team.client("owner")
    assert client.get(reverse("fit", args=[team.project.slug, foreign.pk])).status_code == 404
    compared = client.get(reverse("fits-compare", args=[team.project.slug]), {"fits": str(foreign.pk)}).content.decode()
    assert "foreign one" not in compared and "not in this project" in compared
    opened = client.get(reverse("fit-new", args=[team.project.slug]), {"clone": str(foreign.pk)}).content.decode()
    assert "foreign one" not in opened


def test_a_viewer_sees_no_button_that_would_be_refused(team: Team, fit: Fit) -> None:
    page = team.client("viewer").get(reverse("fit", args=[team.project.slug, fit.pk])).content.decode()
    for word in ("Revise now", "Edit", "Delete", "Clone"):
        assert f">{word}<" not in page
    listed = team.client("viewer").get(reverse("scaling", args=[team.project.slug])).content.decode()
    assert "New fit" not in listed
