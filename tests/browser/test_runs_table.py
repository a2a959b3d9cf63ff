"""The table of runs under the hand: filter, keys, ticks that outlive a refresh, rows that move by themselves."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.training import log_points, running
from tests.pages.team import Team
from tests.runs import scene
from webapp.runs import actions
from webapp.runs.models import Attempt, Run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def attempt(team: Team) -> Attempt:
    return running(team.project, team.people["editor"], "first")


@pytest.fixture
def waiting(team: Team, attempt: Attempt) -> list[Run]:
    return [scene.submit(team.project, user=team.people["editor"], name=name) for name in ("second", "third")]


def names(page: Page) -> list[str]:
    return page.locator("#runs-table .open").all_text_contents()


def test_rows_move_by_themselves_and_ticks_stay(opened: Open, team: Team, attempt: Attempt, waiting: list[Run]) -> None:
    page = opened(reverse("runs", args=[team.project.slug]))
    row = page.locator(f"#row-{attempt.run_id}")
    page.get_by_label("Select second").check()
    actions.progressed(attempt, 40)
    log_points(attempt.run, "eval/loss", [40], [1.25])
    expect(row.locator("progress")).to_have_attribute("value", "40")
    expect(row).to_contain_text("1.25")
    expect(page.get_by_label("Select second")).to_be_checked()
    expect(page.locator("#bulk-count")).to_have_text("1 run")


def test_the_filter_narrows_as_one_types_and_stands_in_the_address(
    opened: Open, team: Team, waiting: list[Run]
) -> None:
    page = opened(reverse("runs", args=[team.project.slug]))
    page.get_by_label("Filter by name").fill("sec")
    expect(page.locator("#runs-table .open")).to_have_text(["second"])
    expect(page).to_have_url(re.compile(r"[?&]q=sec"))
    page.get_by_label("Filter by name").fill("")
    page.get_by_role("combobox", name="State").select_option("running")
    expect(page.locator("#runs-table .open")).to_have_text(["first"])


def test_keys_walk_tick_and_open(opened: Open, team: Team, waiting: list[Run]) -> None:
    page = opened(reverse("runs", args=[team.project.slug]))
    assert names(page) == ["third", "second", "first"]
    for key in "jjx":
        page.keyboard.press(key)
    expect(page.get_by_label("Select second")).to_be_checked()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{reverse('run', args=[team.project.slug, waiting[0].pk])}")


def test_ticked_runs_are_cancelled_together_and_deleting_asks(opened: Open, team: Team, waiting: list[Run]) -> None:
    page = opened(reverse("runs", args=[team.project.slug]))
    expect(page.locator("#bulk-bar")).to_be_hidden()
    page.get_by_label("Select second").check()
    page.get_by_label("Select third").check()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".toast")).to_have_text(re.compile("2 runs cancelled"))
    page.get_by_label("Select third").check()
    page.locator("#bulk-bar").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Delete 1 run?")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#runs-table .open")).to_have_text(["second", "first"])


def test_columns_are_chosen_and_remembered(opened: Open, team: Team, attempt: Attempt) -> None:
    log_points(attempt.run, "mine/score", [1], [0.5])
    page = opened(reverse("runs", args=[team.project.slug]))
    page.locator("#columns summary").click()
    page.get_by_label("mine/score").check()
    page.get_by_label("Tags", exact=True).uncheck()
    page.get_by_role("button", name="Show these columns").click()
    expect(page.get_by_role("columnheader", name="mine/score")).to_be_visible()
    page.goto(reverse("runs", args=[team.project.slug]))
    expect(page.get_by_role("columnheader", name="mine/score")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Tags")).to_have_count(0)


def test_a_phone_scrolls_the_table_inside_its_frame(opened: Open, team: Team, waiting: list[Run]) -> None:
    page = opened(reverse("runs", args=[team.project.slug]), viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    frame = page.locator("#runs-table .sheet")
    frame.evaluate("frame => { frame.scrollLeft = 300 }")
    kept = page.locator("#runs-table tbody th").first.bounding_box()
    assert kept is not None and kept["x"] >= 0
