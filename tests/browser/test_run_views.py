"""Above the table of runs, under the hand: selection across pages, files, groups, views, and runs side by side."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.training import log_points
from tests.pages.team import Team
from tests.runs import scene
from webapp.runs.models import Run
from webapp.runs.states import Status

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def runs(team: Team) -> list[Run]:
    made = [
        scene.submit(team.project, user=team.people["editor"], name=f"run {place:02}", changes={"seed": place % 2})
        for place in range(24)
    ]
    for place, run in enumerate(made):
        log_points(run, "eval/loss", [0, 1], [9.0, float(place)])
    return made


def table(opened: Open, team: Team, query: str = "", **options: object) -> Page:
    return opened(reverse("runs", args=[team.project.slug]) + query, **options)


def test_ticks_are_kept_from_page_to_page_and_acted_on_together(opened: Open, team: Team, runs: list[Run]) -> None:
    page = table(opened, team, "?sort=name&rows=10")
    page.get_by_label("Select run 00").check()
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#bulk-count")).to_have_text("1 run, 1 not on this page")
    page.get_by_label("Select run 11").check()
    page.get_by_role("link", name="Previous").click()
    expect(page.get_by_label("Select run 00")).to_be_checked()
    page.locator("#bulk-bar").get_by_role("button", name="Cancel").click()
    expect(page.locator(".toast")).to_have_text(re.compile("2 runs cancelled"))
    expect(page.locator("#bulk-bar")).to_be_hidden()
    assert set(Run.objects.filter(status=Status.CANCELLED)) == {runs[0], runs[11]}


def test_all_that_match_are_counted_before_anything_is_done(
    opened: Open, team: Team, runs: list[Run], complaints: list[str]
) -> None:
    page = table(opened, team, "?sort=name&rows=10&q=params.seed+%3D+1")
    page.get_by_label("Select all runs on this page").check()
    page.get_by_label("all 12 that match").check()
    expect(page.locator("#bulk-count")).to_have_text("All")
    page.locator("#bulk-bar").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Cancel all 12 runs that match?")).to_be_visible()
    late = scene.submit(team.project, user=team.people["editor"], name="late", changes={"seed": 1})
    page.get_by_role("button", name="Cancel 12 runs").click()
    expect(page.get_by_role("heading", name="Cancel all 13 runs that match?")).to_be_visible()
    assert [text for text in complaints if "409" not in text] == []
    complaints.clear()  # the answer that asks again is a 409
    assert not Run.objects.filter(status=Status.CANCELLED).exists()
    page.get_by_role("button", name="Cancel 13 runs").click()
    expect(page.locator(".toast")).to_have_text(re.compile("13 runs cancelled"))
    assert set(Run.objects.filter(status=Status.CANCELLED)) == {*runs[1::2], late}


def test_ticks_work_without_a_script(opened: Open, team: Team, runs: list[Run]) -> None:
    page = table(opened, team, "?sort=name&rows=10", java_script_enabled=False)
    page.get_by_label("Select run 03").check()
    page.get_by_label("Select run 04").check()
    page.locator("#bulk-bar").get_by_role("button", name="Cancel").click()
    assert set(Run.objects.filter(status=Status.CANCELLED)) == set(runs[3:5])


def test_what_is_shown_is_downloaded(opened: Open, team: Team, runs: list[Run], tmp_path: Path) -> None:
    page = table(opened, team, "?sort=-eval/loss&rows=10&columns=eval/loss,params.seed")
    page.get_by_label("Filter by name").fill("params.seed = 0")
    expect(page).to_have_url(re.compile(r"q=params"))
    page.locator("#export summary").click()
    with page.expect_download() as download:
        page.locator("#export").get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "runs.csv")
    rows = list(csv.DictReader((tmp_path / "runs.csv").open()))
    assert [row["name"] for row in rows] == [f"run {place:02}" for place in range(22, -1, -2)]
    assert rows[0]["eval/loss"] == "22.0"


def test_groups_are_filtered_sorted_and_lead_to_their_runs(opened: Open, team: Team, runs: list[Run]) -> None:
    page = table(opened, team, "?columns=eval/loss")
    page.locator("#group-by summary").click()
    page.get_by_label("Columns to group by").fill("params.seed")
    page.get_by_role("button", name="Group by these").click()
    expect(page.locator("#runs-table tbody tr")).to_have_count(2)
    page.get_by_role("link", name="max").click()
    expect(page.locator("#runs-table tbody th").first).to_have_text("0")
    even = [place for place in range(0, 24, 2) if "0" in f"{place:02}"]
    page.get_by_label("Filter by name").fill("run 0")
    expect(page.locator("#runs-table tbody th")).to_have_text(["1", "0"])  # of what is left, 9 is the highest of 1
    expect(page.locator("#runs-table tbody tr").last.locator("td").first).to_have_text(str(len(even)))
    expect(page).to_have_url(re.compile("group=params.seed"))
    page.locator("#runs-table tbody").get_by_role("link", name="0", exact=True).click()
    expect(page.locator("#runs-table .open")).to_have_text([f"run {place:02}" for place in reversed(even)])


def test_a_view_is_saved_and_opened_by_its_link(opened: Open, team: Team, runs: list[Run]) -> None:
    page = table(opened, team, "?sort=name&columns=eval/loss")
    page.get_by_label("Filter by name").fill("params.seed = 1")
    expect(page.locator("#runs-table .open")).to_have_count(12)
    page.locator("#views summary").click()
    page.get_by_label("Name of the view").fill("odd ones")
    page.get_by_role("button", name="Save what is shown").click()
    expect(page.locator("#views summary")).to_have_text("odd ones")
    page.locator("#views summary").click()
    address = page.locator("#views").get_by_role("link", name="odd ones").get_attribute("href")
    other = opened(str(address), "viewer")
    expect(other.locator("#runs-table .open")).to_have_count(12)
    expect(other.get_by_label("Filter by name")).to_have_value("params.seed = 1")
    expect(other.locator("#runs-table th[aria-sort]")).to_contain_text("Run")
    other.locator("#views summary").click()
    expect(other.get_by_role("button", name="Save what is shown")).to_have_count(0)


def test_ticked_runs_are_held_side_by_side(opened: Open, team: Team, runs: list[Run]) -> None:
    page = table(opened, team, "?sort=name&rows=10")
    for name in ("run 02", "run 05"):
        page.get_by_label(f"Select {name}").check()
    page.locator("#bulk-bar").get_by_role("button", name="Compare").click()
    page.get_by_role("link", name="Differences").click()
    expect(page.locator("#diff-settings tbody tr")).to_have_count(1)
    expect(page.locator("#diff-settings tbody")).to_contain_text("seed")
    equal = page.locator(".diff-same table")
    expect(equal).to_be_hidden()
    page.get_by_text("equal settings").click()
    expect(equal).to_be_visible()
    expect(page.locator("#diff-metrics-table td.best").first).to_have_text(re.compile("^2"))
    page.get_by_label("Make run 05 the baseline").first.click()
    expect(page.locator("#diff-metrics-table")).to_contain_text("-3 (-60 %)")
