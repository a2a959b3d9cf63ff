"""Sweeps under the hand: the form makes one, its page is live, its charts are drawn."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.pages.team import Team
from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.runs.models import Run
from webapp.sweeps import actions
from webapp.sweeps.models import Sweep, Trial

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE = {"width": 390, "height": 844}
CHART_MS = 20_000  # the chart library is 4.8 MB, and each test's browser loads it anew


def loss(run: Run) -> float:
    return 1 + float(run.spec["optimizer"]["lr"]) + 1e-4 * float(run.spec["seed"])


@pytest.fixture
def address(team: Team) -> str:
    return reverse("sweep-new", args=[team.project.slug])


@pytest.fixture
def done(team: Team) -> Sweep:
    return scene.finish(scene.create(project=team.project, user=team.people["editor"], trials=12, seeds=2), loss)


@pytest.fixture
def live(team: Team) -> Sweep:
    return scene.advanced(scene.create(project=team.project, user=team.people["editor"], trials=6))


def page_of(opened: Open, sweep: Sweep, name: str = "sweep", **options: object) -> Page:
    return opened(reverse(name, args=[sweep.project.slug, sweep.pk]), **options)


def expect_drawn(plot: Locator) -> None:
    expect(plot.locator(".main-svg").first).to_be_visible(timeout=CHART_MS)


def test_a_sweep_is_made_with_the_form_and_seen_on_its_page(opened: Open, team: Team, address: str) -> None:
    run = runs.submit(team.project, user=team.people["editor"])
    page = opened(f"{address}?run={run.pk}")
    rows = page.locator(".dimension")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="batch_size", exact=True).click()
    expect(rows).to_have_count(2)
    rows.nth(1).get_by_label("Values").select_option("choices")
    rows.nth(1).get_by_label("Choices").fill("4, 8")
    page.get_by_role("combobox", name="Sampler", exact=True).select_option("random")
    page.get_by_role("combobox", name="Early stopping", exact=True).select_option("asha")
    page.get_by_label("Min steps").fill("10")
    page.get_by_label("Name", exact=True).last.fill("by hand")
    page.get_by_label("Tune", exact=True).fill("2")
    expect(page.locator("#plan dt:text-is('Runs') + dd")).to_have_text("40")
    page.get_by_role("button", name="Start sweep").last.click()
    expect(page.locator("h1")).to_have_text("by hand")
    sweep = Sweep.objects.get()
    assert sweep.definition["search"]["space"]["batch_size"]["choices"] == [4, 8]
    assert (sweep.definition["stopper"]["min_steps"], sweep.definition["seeds"]["tune"]) == (10, 2)


def test_a_wrong_bound_is_said_at_its_row_and_nothing_is_lost(opened: Open, address: str) -> None:
    page = opened(address)
    page.get_by_label("Low").fill("5")
    page.get_by_label("High").fill("1")
    page.get_by_label("Name", exact=True).last.fill("kept")
    page.get_by_role("button", name="Start sweep").last.click()
    expect(page.locator(".dimension .errors")).to_contain_text("low must not exceed high")
    expect(page.get_by_label("Low")).to_have_value("5")
    expect(page.get_by_label("Name", exact=True).last).to_have_value("kept")
    assert not Sweep.objects.exists()


def test_the_form_works_without_scripts(opened: Open, address: str) -> None:
    page = opened(address, java_script_enabled=False)
    page.get_by_role("button", name="Add a row").click()
    row = page.locator(".dimension").nth(1)
    row.get_by_label("Path").fill("batch_size")
    row.get_by_label("Values").select_option("choices")
    row.get_by_role("button", name="Show the fields of").click()
    page.locator(".dimension").nth(1).get_by_label("Choices").fill("4, 8")
    page.get_by_role("button", name="Start sweep").last.click()
    assert Sweep.objects.get().definition["search"]["space"]["batch_size"]["choices"] == [4, 8]


def test_every_chart_is_drawn_when_it_is_scrolled_to(opened: Open, done: Sweep) -> None:
    page = page_of(opened, done)
    plots = page.locator(".sweep-chart .plot")
    expect_drawn(plots.first)
    for place in range(plots.count()):
        plots.nth(place).scroll_into_view_if_needed()
        expect_drawn(plots.nth(place))
    expect(page.locator("#chart-best_so_far")).to_contain_text("best so far")


def test_a_chart_follows_its_menu(opened: Open, done: Sweep) -> None:
    page = page_of(opened, done)
    chart = page.locator("#chart-best_so_far")
    expect_drawn(chart)
    expect(chart.locator(".xtitle")).to_have_text("trial")
    chart.get_by_label("against").select_option("gpu_hours")
    expect(chart.locator(".xtitle")).to_have_text("GPU-hours")


def test_a_point_leads_to_its_trial(opened: Open, done: Sweep) -> None:
    page = page_of(opened, done)
    expect_drawn(page.locator("#chart-best_so_far"))
    page.evaluate(
        """() => {
            const plot = document.querySelector("#chart-best_so_far .plot");
            const data = plot.data.find((trace) => trace.meta?.points === "trials");
            plot.emit("plotly_click", { points: [{ data, customdata: data.customdata[0] }] });
        }"""
    )
    page.wait_for_url(re.compile(r"/trials/\?number=\d+"))
    expect(page.locator("tbody tr")).to_have_count(1)


def test_the_timeline_is_drawn(opened: Open, done: Sweep) -> None:
    expect_drawn(page_of(opened, done, "sweep-timeline").locator(".sweep-chart"))


def test_head_and_trials_move_by_themselves(opened: Open, live: Sweep) -> None:
    page = page_of(opened, live, "sweep-trials")
    expect(page.locator("#sweep-head .facts")).to_contain_text("0 of 6")
    scene.train(scene.waiting(live)[0], 1.25)
    scene.advanced(live)
    expect(page.locator("#sweep-head .facts")).to_contain_text("1 of 6")
    expect(page.locator("#trial-1")).to_contain_text("1.25")
    expect(page.locator("#trial-1 th")).to_have_text("1")
    actions.stop(live, None)
    expect(page.locator("#sweep-head .status")).to_have_text("stopped")
    expect(page.locator("#sweep-notes")).to_contain_text("Stopped")


def test_stopping_asks_first(opened: Open, live: Sweep) -> None:
    page = page_of(opened, live)
    page.locator("#sweep-stop").click()
    dialog = page.locator("#dialog")
    expect(dialog.get_by_role("heading")).to_contain_text("Stop")
    dialog.get_by_role("link", name="Keep").click()
    expect(dialog).to_be_hidden()
    page.locator("#sweep-stop").click()
    dialog.get_by_role("button", name="Stop").click()
    expect(page.locator("#sweep-head .status")).to_have_text("stopped")


def test_a_point_is_added_in_a_dialog(opened: Open, live: Sweep) -> None:
    page = page_of(opened, live)
    page.locator("#sweep-add").click()
    dialog = page.locator("#dialog")
    dialog.get_by_label("optimizer.lr").fill("0.003")
    dialog.get_by_label("batch_size").select_option("8")
    dialog.get_by_role("button", name="Try it").click()
    expect(page.locator(".toast")).to_contain_text("is next")
    assert Trial.objects.get(sweep=live, source="hand").params == {"optimizer.lr": 0.003, "batch_size": 8}


def test_the_space_of_a_running_sweep_is_edited(opened: Open, live: Sweep) -> None:
    page = page_of(opened, live, "sweep-edit")
    page.get_by_label("Choices").fill("4, 8, 32")
    page.get_by_label("Concurrency", exact=True).fill("5")
    page.get_by_role("button", name="Save").last.click()
    expect(page.locator(".toast")).to_contain_text("is changed")
    live.refresh_from_db()
    assert live.definition["search"]["space"]["batch_size"]["choices"] == [4, 8, 32]
    assert (live.definition["concurrency"], live.revision) == (5, 2)


def test_keys_lead_to_the_sweeps_and_into_one(opened: Open, team: Team, live: Sweep) -> None:
    page = opened(reverse("runs", args=[team.project.slug]))
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url(f"**{reverse('sweeps', args=[team.project.slug])}")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{reverse('sweep', args=[team.project.slug, live.pk])}")


@pytest.mark.parametrize("name", ["sweep", "sweep-trials", "sweep-config", "sweep-edit"])
def test_every_part_fits_a_phone(opened: Open, done: Sweep, name: str) -> None:
    page = page_of(opened, done, name, viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", ["sweeps", "sweep-new", "sweep-import"])
def test_the_table_and_the_forms_fit_a_phone(opened: Open, team: Team, done: Sweep, name: str) -> None:
    page = opened(reverse(name, args=[team.project.slug]), viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
