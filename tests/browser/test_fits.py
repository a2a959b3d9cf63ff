"""Scaling laws under the hand: the form makes a fit, its page fills itself, its charts and fields answer."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.pages import fits
from tests.pages.team import Team
from tests.pages.test_fit_new import TABLE
from webapp.scaling import actions
from webapp.scaling.models import Fit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE = {"width": 390, "height": 844}
CHART_MS = 20_000  # the chart library is 4.8 MB, and each test's browser loads it anew
LIVE_MS = 12_000  # the head asks again every two seconds


@pytest.fixture
def fit(team: Team) -> Fit:
    return fits.fit_of(team.project, team.people["editor"])


def page_of(opened: Open, fit: Fit, name: str = "fit", **options: object) -> Page:
    return opened(reverse(name, args=[fit.project.slug, fit.pk]), **options)


def expect_drawn(plot: Locator) -> None:
    expect(plot.locator(".main-svg").first).to_be_visible(timeout=CHART_MS)


def test_a_pasted_table_becomes_a_page_that_fills_itself(opened: Open, team: Team) -> None:
    page = opened(reverse("fit-new", args=[team.project.slug]))
    page.get_by_role("combobox", name="Points", exact=True).select_option("table")
    page.get_by_label("Columns required").fill(TABLE)
    page.get_by_role("combobox", name="Holdout", exact=True).select_option("yes")
    page.get_by_label("Largest", exact=True).fill("2")
    page.get_by_label("Resamples").fill("60")
    page.get_by_label("Frontier").fill("1e20")
    page.get_by_label("Name", exact=True).last.fill("by hand")
    expect(page.locator("#plan")).to_contain_text("14 points, 5 parameters")
    page.get_by_role("button", name="Fit", exact=True).last.click()
    expect(page.locator("h1")).to_have_text("by hand")
    expect(page.locator("#fit-tab")).to_contain_text("Being fitted")
    fits.finish(Fit.objects.get().revisions.get().run)
    expect(page.locator("#fit-head .status")).to_have_text("succeeded", timeout=LIVE_MS)
    expect(page.locator("#fit-head .facts")).to_contain_text("E irreducible")
    plots = page.locator(".fit-chart .plot")
    expect_drawn(plots.first)
    for place in range(plots.count()):
        plots.nth(place).scroll_into_view_if_needed()
        expect_drawn(plots.nth(place))


def test_a_wrong_table_is_said_at_its_field_and_nothing_is_lost(opened: Open, team: Team) -> None:
    page = opened(reverse("fit-new", args=[team.project.slug]))
    page.get_by_role("combobox", name="Points", exact=True).select_option("table")
    page.get_by_label("Columns required").fill("N,D,loss\n1,2")
    page.get_by_label("Name", exact=True).last.fill("kept")
    page.get_by_role("button", name="Fit", exact=True).last.click()
    field = page.locator(".knob").filter(has=page.get_by_label("Columns required"))
    expect(field.locator(".errors")).to_have_text("Line 2 has 2 values, the header 3.")
    expect(page.get_by_label("Columns required")).to_have_value("N,D,loss\n1,2")
    expect(page.get_by_label("Name", exact=True).last).to_have_value("kept")
    assert not Fit.objects.exists()


def test_the_form_works_without_scripts(opened: Open, team: Team) -> None:
    page = opened(reverse("fit-new", args=[team.project.slug]), java_script_enabled=False)
    page.get_by_role("combobox", name="Points", exact=True).select_option("table")
    page.get_by_role("button", name="Show the fields of this points").click()
    page.get_by_label("Columns required").fill(TABLE)
    page.get_by_role("button", name="Fit", exact=True).last.click()
    assert Fit.objects.get().spec["points"]["columns"] == fits.columns()


def test_what_if_answers_while_one_types(opened: Open, fit: Fit) -> None:
    page = page_of(opened, fit, role="viewer")
    answer = page.locator("#answer")
    before = answer.inner_text()
    page.get_by_label("N parameters").fill("1B")
    expect(answer).not_to_have_text(before)
    expect(answer).to_contain_text("Predicted loss")
    page.get_by_label("budget FLOPs").fill("much")
    expect(answer).to_contain_text("is no number")
    expect(page.get_by_label("budget FLOPs")).to_have_value("much")


def test_a_budget_is_asked_of_the_frontier(opened: Open, fit: Fit) -> None:
    page = page_of(opened, fit)
    chart = page.locator("#chart-frontier")
    chart.scroll_into_view_if_needed()
    expect_drawn(chart)
    chart.get_by_label("budget, FLOPs").fill("3e21")
    expect(chart.locator("[data-caption]")).to_contain_text("3e21")
    expect(chart.locator("[data-csv]")).to_have_attribute("href", re.compile("budget=3e21.*format=csv"))


def test_a_chart_is_saved_as_a_picture(opened: Open, fit: Fit) -> None:
    page = page_of(opened, fit)
    chart = page.locator("#chart-loss_compute")
    expect_drawn(chart)
    chart.hover()
    with page.expect_download() as saved:
        chart.get_by_role("button", name="SVG").click()
    assert saved.value.suggested_filename == "chart-loss_compute.svg"
    with page.expect_download() as table:
        chart.get_by_role("link", name="CSV").click()
    assert table.value.path().read_text().startswith("trace,x,y,z\n")


def test_a_revision_that_ends_is_shown_by_itself(opened: Open, fit: Fit) -> None:
    revision = actions.revise(fit)
    page = page_of(opened, fit)
    expect(page.locator("#fit-head")).to_have_attribute("data-shown", "1")
    fits.finish(revision.run)
    expect(page.locator("#fit-head")).to_have_attribute("data-shown", "2", timeout=LIVE_MS)
    plot = page.locator("#chart-loss_compute .plot")
    expect(plot).to_have_attribute("data-figure", re.compile("revision=2"))
    expect_drawn(plot)


def test_ticked_fits_are_compared(opened: Open, team: Team, fit: Fit) -> None:
    spec = fits.spec(law={"name": "chinchilla", "tied": True})
    other = fits.fit_of(team.project, team.people["editor"], spec, "tied")
    page = opened(reverse("scaling", args=[team.project.slug]))
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("tr.selected")).to_have_count(2)
    page.keyboard.press("c")
    page.wait_for_url(re.compile(rf"fits={other.pk}(,|%2C){fit.pk}$"))
    page.locator("#chart-compare").scroll_into_view_if_needed()
    expect_drawn(page.locator("#chart-compare"))
    page.get_by_label("N parameters").fill("2B")
    expect(page.locator("#answer")).to_contain_text("tied")


def test_keys_lead_to_the_fits_and_into_one(opened: Open, team: Team, fit: Fit) -> None:
    page = opened(reverse("runs", args=[team.project.slug]))
    page.keyboard.press("g")
    page.keyboard.press("l")
    page.wait_for_url(f"**{reverse('scaling', args=[team.project.slug])}")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{reverse('fit', args=[team.project.slug, fit.pk])}")
    page.go_back()
    page.keyboard.press("n")
    page.wait_for_url(f"**{reverse('fit-new', args=[team.project.slug])}")


def test_deleting_asks_first(opened: Open, fit: Fit) -> None:
    page = page_of(opened, fit)
    page.locator("#fit-delete").click()
    dialog = page.locator("#dialog")
    dialog.get_by_role("link", name="Keep").click()
    expect(dialog).to_be_hidden()
    page.locator("#fit-delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator(".toast")).to_contain_text("is deleted")


def test_the_page_of_its_run_draws_the_same_charts(opened: Open, team: Team, fit: Fit) -> None:
    page = opened(reverse("run", args=[team.project.slug, fit.revisions.get().run_id]), role="viewer")
    expect_drawn(page.locator("#chart-loss_compute"))
    page.get_by_role("link", name="Revision 1 of by table").click()
    expect(page.locator("h1")).to_have_text("by table")


@pytest.mark.parametrize("name", ["fit", "fit-numbers", "fit-points", "fit-revisions", "fit-spec", "fit-edit"])
def test_every_part_fits_a_phone(opened: Open, fit: Fit, name: str) -> None:
    page = page_of(opened, fit, name, viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", ["scaling", "fit-new", "fits-compare"])
def test_the_tables_and_the_form_fit_a_phone(opened: Open, team: Team, fit: Fit, name: str) -> None:
    address = reverse(name, args=[team.project.slug])
    page = opened(f"{address}?fits={fit.pk}", viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
