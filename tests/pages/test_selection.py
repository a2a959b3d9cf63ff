"""All that match: what was confirmed is what is acted on; and ticks of other pages."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.http import HttpResponse
from django.urls import reverse

from tests.pages.team import Team
from tests.runs import scene
from webapp.runs import selection
from webapp.runs.models import Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def runs(team: Team) -> list[Run]:
    return [scene.submit(team.project, user=team.people["editor"], name=f"run {place}") for place in range(12)]


def bulk(team: Team, role: str = "editor", **fields: object) -> HttpResponse:
    return team.client(role).post(reverse("runs-bulk", args=[team.project.slug]), fields)


def asked(answer: HttpResponse) -> dict[str, str]:
    """The fields of the confirmation, as its form sends them."""
    page = answer.content.decode()
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in found if name != "csrfmiddlewaretoken"}


def statuses() -> list[str]:
    return list(Run.objects.order_by("id").values_list("status", flat=True))


def test_all_that_match_are_asked_about_and_then_changed(team: Team, runs: list[Run]) -> None:
    answer = bulk(team, match="q=run", do="cancel")
    assert "Cancel all 12 runs that match?" in answer.content.decode()
    assert set(statuses()) == {Status.QUEUED}
    assert bulk(team, do="cancel", **asked(answer)).status_code == 302
    assert set(statuses()) == {Status.CANCELLED}


def test_only_those_of_the_filter_are_meant(team: Team, runs: list[Run]) -> None:
    bulk(team, do="cancel", **asked(bulk(team, match="q=name+%3D+'run+3'", do="cancel")))
    assert [run.name for run in Run.objects.filter(status=Status.CANCELLED)] == ["run 3"]


def test_a_filter_that_finds_other_runs_than_those_confirmed_is_asked_about_again(team: Team, runs: list[Run]) -> None:
    """Also where their number is the same."""
    fields = asked(bulk(team, match="status=queued", do="delete"))
    Run.objects.filter(pk=runs[0].pk).update(status=Status.SUCCEEDED)
    scene.submit(team.project, user=team.people["editor"], name="late")
    answer = bulk(team, do="delete", **fields)
    assert answer.status_code == 409
    assert "nothing was done" in answer.content.decode()
    assert not Run.objects.exclude(deleted_at=None).exists()
    bulk(team, do="delete", **asked(answer))
    assert list(Run.objects.filter(deleted_at=None).values_list("name", flat=True)) == ["run 0"]


def test_a_sure_without_a_digest_or_with_a_changed_filter_does_nothing(team: Team, runs: list[Run]) -> None:
    fields = asked(bulk(team, match="q=name+%3D+'run+3'", do="cancel"))
    assert bulk(team, do="cancel", **{**fields, "match": "all=yes"}).status_code == 409
    assert bulk(team, do="cancel", **{**fields, "digest": ""}).status_code == 409
    assert set(statuses()) == {Status.QUEUED}


def test_tagging_all_keeps_the_tag_over_the_confirmation(team: Team, runs: list[Run]) -> None:
    answer = bulk(team, match="all=yes", do="tag", tag="keep")
    assert "No filter" in answer.content.decode()
    bulk(team, do="tag", **asked(answer))
    assert Run.objects.filter(tags=["keep"]).count() == 12


def test_comparing_all_that_match_is_their_query(team: Team, runs: list[Run]) -> None:
    answer = bulk(team, match="q=run&status=queued", do="compare")
    assert answer["Location"] == f"/compare/?project={team.project.slug}&q=run&status=queued"


def test_more_than_can_be_changed_at_once_are_refused(team: Team, runs: list[Run], monkeypatch) -> None:
    monkeypatch.setattr(selection, "MOST_RUNS", 11)
    assert bulk(team, match="all=yes", do="cancel").status_code == 302
    assert set(statuses()) == {Status.QUEUED}


def test_a_query_that_can_not_be_read_changes_nothing(team: Team, runs: list[Run]) -> None:
    assert bulk(team, match="q=status+%3D", do="cancel").status_code == 302
    assert set(statuses()) == {Status.QUEUED}


def test_ticks_of_other_pages_come_in_one_field(team: Team, runs: list[Run]) -> None:
    bulk(team, run=[runs[0].pk], others=f"{runs[1].pk},{runs[2].pk},x,", do="cancel")
    assert Run.objects.filter(status=Status.CANCELLED).count() == 3


def test_nobody_acts_on_all_runs_of_a_project_that_they_may_only_see(team: Team, runs: list[Run]) -> None:
    fields = asked(bulk(team, match="all=yes", do="delete"))
    assert bulk(team, "viewer", do="delete", **fields).status_code == 403
    assert bulk(team, "stranger", do="delete", **fields).status_code == 404
    assert not Run.objects.exclude(deleted_at=None).exists()


def test_the_page_offers_it_only_where_there_are_other_pages(team: Team, runs: list[Run]) -> None:
    client, address = team.client("editor"), reverse("runs", args=[team.project.slug])
    assert 'name="match"' not in client.get(address).content.decode()
    page = client.get(f"{address}?q=run&rows=10&sort=name").content.decode()
    assert re.search(r'name="match"\s+value="q=run">', page)
    assert "all 12 that match, on every page" in page


def test_tagging_without_a_tag_asks_for_one(team: Team) -> None:
    run = scene.submit(team.project, user=team.people["editor"], name="a")
    answer = team.client("editor").post(
        reverse("runs-bulk", args=[team.project.slug]), {"do": "tag", "tag": " ", "run": run.pk}, follow=True
    )
    assert "Write the tag" in answer.content.decode()
