"""Who gets what from each route below a project's protocols."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.pages.team import ROLES, Team
from tests.pages.test_run_access import EDITORS, MEMBERS, outcome
from tests.runs import scene
from webapp.pages.protocols.urls import urlpatterns
from webapp.sweeps import registry, studies
from webapp.sweeps.models import Sweep
from webapp.sweeps.studies import Study

pytestmark = pytest.mark.django_db

READ_BY_MEMBERS = {"protocols", "protocol", "protocol-study", "protocol-progress", "protocol-figure"}
WRITTEN_BY_EDITORS = {"protocol", "protocol-plan", "protocol-go-on"}
NAMES = sorted(str(pattern.name) for pattern in urlpatterns)


@pytest.fixture
def study(team: Team) -> Study:
    entry = registry.entries("protocols")["eval_variance"]
    knobs = studies.knobs_of(entry, {"seeds": 3})
    return studies.start(entry=entry, project=team.project, user=None, knobs=knobs, spec=scene.SPEC)


def address(team: Team, study: Study, name: str) -> str:
    args = {
        "protocol": ["eval_variance"], "protocol-plan": ["eval_variance"], "protocol-study": [study.group],
        "protocol-go-on": [study.group],
        "protocol-progress": [study.group], "protocol-figure": [study.group, "seed_spread"],
    }  # fmt: skip
    return reverse(name, args=[team.project.slug, *args.get(name, [])])


def test_every_route_is_decided_here() -> None:
    assert set(NAMES) == READ_BY_MEMBERS | WRITTEN_BY_EDITORS


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(READ_BY_MEMBERS))
def test_reading(team: Team, study: Study, name: str, role: str) -> None:
    assert outcome(team.client(role).get(address(team, study, name))) == MEMBERS[role]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(WRITTEN_BY_EDITORS))
def test_writing(team: Team, study: Study, name: str, role: str) -> None:
    assert outcome(team.client(role).post(address(team, study, name), {"do": "start"})) == EDITORS[role]


def test_what_only_writes_can_not_be_read(team: Team, study: Study) -> None:
    for name in WRITTEN_BY_EDITORS - READ_BY_MEMBERS:
        assert team.client("editor").get(address(team, study, name)).status_code == 405


@pytest.mark.parametrize("name", sorted(READ_BY_MEMBERS - WRITTEN_BY_EDITORS))
def test_what_only_reads_can_not_be_written(team: Team, study: Study, name: str) -> None:
    assert team.client("editor").post(address(team, study, name)).status_code == 405


def test_a_refused_start_starts_nothing(team: Team) -> None:
    path = reverse("protocol", args=[team.project.slug, "eval_variance"])
    for role in ("viewer", "stranger", "anonymous"):
        team.client(role).post(path, {"do": "start"})
    assert not Sweep.objects.exists()


def test_a_study_of_another_project_is_not_at_this_address(team: Team) -> None:
    entry = registry.entries("protocols")["eval_variance"]
    other = scene.project("Other")
    foreign = studies.start(
        entry=entry, project=other, user=None, knobs=studies.knobs_of(entry, {"seeds": 3}), spec=scene.SPEC
    )
    path = reverse("protocol-study", args=[team.project.slug, foreign.group])
    assert team.client("owner").get(path).status_code == 404


def test_a_viewer_sees_the_protocol_but_no_form(team: Team) -> None:
    path = reverse("protocol", args=[team.project.slug, "eval_variance"])
    page = team.client("viewer").get(path).content.decode()
    assert "Start study" not in page and "Kendall" in page
    assert "Start study" in team.client("editor").get(path).content.decode()
