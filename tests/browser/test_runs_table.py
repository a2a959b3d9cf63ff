"""The table of runs under the hand: filter, keys, ticks that outlive a refresh, rows that move by themselves."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

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


def test_columns_are_chosen_in_order_and_remembered(opened: Open, team: Team, attempt: Attempt) -> None:
    log_points(attempt.run, "mine/score", [1, 2], [0.5, 1.5])
    page = opened(reverse("runs", args=[team.project.slug]) + "?columns=kind,tags")
    page.get_by_role("link", name="Columns").click()
    page.get_by_label("Find a column").fill("score me")
    expect(page.locator("#columns-found input")).to_have_count(1)
    page.get_by_label("mine/score mean").click()
    expect(page.locator("#columns-shown li")).to_have_text([re.compile("Kind"), re.compile("Tags"), re.compile("mean")])
    page.get_by_label("Move mine/score mean to the left").click()
    page.keyboard.press("Enter")
    page.locator("#columns-shown").get_by_role("checkbox", name="Tags").uncheck()
    page.locator(".dialog-end").get_by_role("button", name="Show these columns").click()
    expect(page.get_by_role("columnheader")).to_have_text([re.compile("Run"), "mine/score mean", "Kind"])
    assert "columns=metrics.mine%2Fscore.mean%2Ckind" in page.url
    page.goto(reverse("runs", args=[team.project.slug]))
    expect(page.get_by_role("columnheader", name="mine/score mean")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Tags")).to_have_count(0)


def field_of(page: Page) -> Locator:
    return page.get_by_label("Filter by name")


def test_a_query_is_written_with_the_keys_alone(opened: Open, team: Team, waiting: list[Run]) -> None:
    for run, value in zip(waiting, (1.0, 3.0), strict=True):
        log_points(run, "eval/loss", [1], [value])
    page = opened(reverse("runs", args=[team.project.slug]))
    field, options = field_of(page), page.get_by_role("listbox").get_by_role("option")
    field.press_sequentially("metr")
    expect(options).to_have_text([re.compile("metrics")])
    assert field.get_attribute("aria-expanded") == "true" and field.get_attribute("role") == "combobox"
    field.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    assert field.get_attribute("aria-activedescendant") == options.first.get_attribute("id")
    field.press("Tab")  # takes the chosen one, and the focus stays
    expect(field).to_have_value("metrics.")
    expect(page.get_by_role("option", name="eval/loss")).to_be_visible()
    field.press("ArrowDown")
    field.press("Enter")
    expect(field).to_have_value("metrics.eval/loss")
    field.press_sequentially(" ")
    expect(options.first).to_have_text(re.compile("="))
    field.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    expect(field).to_have_value("metrics.eval/loss ")
    expect(page.locator("#filter-error")).to_contain_text("^")
    field.press_sequentially("< 2")
    expect(page.locator("#runs-table .open")).to_have_text(["second"])
    expect(page.locator("#filter-error")).to_be_hidden()
    field.press_sequentially(" and tags = 'no")
    expect(page.locator("#filter-q-status")).to_have_text("No suggestion")


def test_the_caret_below_an_error_stands_under_its_character(opened: Open, team: Team, waiting: list[Run]) -> None:
    page = opened(reverse("runs", args=[team.project.slug]))
    field_of(page).fill("status = 'failed' or loss < 2")
    error = page.locator("#filter-error")
    expect(error).to_contain_text("^")
    line, caret = error.inner_text().splitlines()[-2:]
    assert line[caret.index("^") :] == "loss < 2"
    family = error.evaluate("element => getComputedStyle(element).whiteSpace + getComputedStyle(element).fontFamily")
    assert family.startswith("pre") and "mono" in family.lower()


def test_a_click_takes_an_option_and_characters_beyond_16_bits_are_counted_once(
    opened: Open, team: Team, waiting: list[Run]
) -> None:
    page = opened(reverse("runs", args=[team.project.slug]))
    field_of(page).press_sequentially("name = '\U0001f40d' and stat")
    page.get_by_role("option", name="status").click()
    expect(field_of(page)).to_have_value("name = '\U0001f40d' and status")
    expect(field_of(page)).to_be_focused()


def test_query_sort_column_and_next_page_together(opened: Open, team: Team) -> None:
    runs = [scene.submit(team.project, user=team.people["editor"], name=f"r{number:02}") for number in range(14)]
    for number, run in enumerate(runs):
        log_points(run, "eval/loss", [1, 2], [number, number + 1.0])
    page = opened(reverse("runs", args=[team.project.slug]) + "?rows=10&columns=metrics.eval/loss.mean")
    field_of(page).press_sequentially("metrics.ev")
    page.get_by_role("option", name="eval/loss").click()
    field_of(page).press_sequentially(".me")
    page.get_by_role("option", name="mean").click()
    field_of(page).press_sequentially(" > 1")
    expect(page.locator("#runs-table .open").first).to_have_text("r13")
    expect(page.locator("#runs-table")).to_contain_text("10 of 13")
    page.get_by_role("columnheader").get_by_role("link", name="eval/loss mean").click()
    expect(page.locator("#runs-table .open").first).to_have_text("r01")
    page.get_by_role("link", name="Columns").click()
    page.get_by_label("Find a column").fill("max")
    expect(page.locator("#columns-found input")).to_have_count(1)  # what is clicked while the list changes is lost
    page.get_by_label("eval/loss max").click()
    page.locator(".dialog-end").get_by_role("button", name="Show these columns").click()
    expect(page.get_by_role("columnheader", name="eval/loss max")).to_be_visible()
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#runs-table .open")).to_have_text(["r11", "r12", "r13"])
    expect(page.locator("#runs-table td")).to_have_text(["11.5", "12", "12.5", "13", "13.5", "14"])
    expect(field_of(page)).to_have_value("metrics.eval/loss.mean > 1")


def test_a_phone_scrolls_the_table_inside_its_frame(opened: Open, team: Team, waiting: list[Run]) -> None:
    page = opened(reverse("runs", args=[team.project.slug]), viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    frame = page.locator("#runs-table .sheet")
    frame.evaluate("frame => { frame.scrollLeft = 300 }")
    kept = page.locator("#runs-table tbody th").first.bounding_box()
    assert kept is not None and kept["x"] >= 0


TYPES_AT_ONCE = """
document.addEventListener("htmx:afterSwap", () => setTimeout(() => {
  const field = document.querySelector("[name=find]");
  field.value = "tags";
  field.dispatchEvent(new Event("input", { bubbles: true }));
}), { once: true })
"""


def test_what_is_typed_as_soon_as_a_dialog_stands_is_heard(opened: Open, team: Team, waiting: list[Run]) -> None:
    page = opened(reverse("runs", args=[team.project.slug]) + "?columns=kind")
    page.evaluate(TYPES_AT_ONCE)
    page.get_by_role("link", name="Columns").click()
    expect(page.locator("#columns-found label")).to_have_text([re.compile("Tags")])
