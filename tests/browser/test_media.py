"""The Media tab of a run: sliders over the steps, one step in all, histograms over time, and what comes live."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import transaction
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

import hone
from tests.browser.conftest import Open
from tests.pages.team import Team
from webapp.metrics.media import actions, items, queries
from webapp.metrics.media.items import NewItem
from webapp.runs import actions as runs
from webapp.runs import news
from webapp.runs.models import Run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
STEPS = (0, 10, 20, 30)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> None:
    settings.STORAGE_URL = f"file://{tmp_path / 'blobs'}"
    settings.STORAGES = {**settings.STORAGES}


def picture(name: str, step: int, width: int = 5) -> NewItem:
    data = hone.Image(np.full((4, width, 3), step, np.uint8)).encoded()
    return items.image(name, data, step=step, caption=f"{name} at {step}")


def bars(step: int, name: str = "weights") -> NewItem:
    return items.histogram(name, [step, step + 1, step + 3], [4, step], step=step)


@pytest.fixture
def run(team: Team) -> Run:
    made = runs.create_external(project=team.project, user=team.people["editor"], name="pictured")
    some = [picture("eval/samples", step, width=5 + step) for step in STEPS]
    actions.log_media(made, [*some, picture("other", 5), picture("other", 25), *(bars(step) for step in STEPS)])
    return made


def watch(opened: Open, run: Run, **options: object) -> Page:
    page = opened(reverse("run-media", args=[run.project.slug, run.pk]), **options)
    expect(page.locator("#connection")).to_have_text("live")
    return page


def panel(page: Page, name: str) -> Locator:
    return page.locator(f'[data-media="{name}"]')


def expect_shown(page: Page, name: str, width: int) -> None:
    """The picture is decoded, and is the one with this width."""
    page.wait_for_function(
        "([name, width]) => { const shown = document.querySelector(`[data-media='${name}'] img`);"
        " return shown?.complete && shown.naturalWidth === width; }",
        arg=[name, width],
    )


def test_the_slider_goes_through_the_steps_by_keyboard(opened: Open, run: Run) -> None:
    page = watch(opened, run)
    samples = panel(page, "eval/samples")
    expect_shown(page, "eval/samples", 35)
    slider = samples.get_by_label("Step")
    slider.focus()
    for step in (20, 10):
        page.keyboard.press("ArrowLeft")
        expect(samples.locator("output")).to_have_text(str(step))
        expect(samples.locator("[data-words]")).to_have_text(f"eval/samples at {step}")
        expect_shown(page, "eval/samples", 5 + step)
    expect(slider).to_have_attribute("aria-valuetext", "step 10, eval/samples at 10")
    page.keyboard.press("Home")
    expect_shown(page, "eval/samples", 5)
    expect(samples.get_by_role("link", name="open")).to_have_attribute("href", re.compile(r"eval/samples\?step=0&"))
    expect(panel(page, "other").locator("output")).to_have_text("25")


def test_one_slider_moves_all_to_the_last_item_at_or_before_its_step(opened: Open, run: Run) -> None:
    page = watch(opened, run)
    page.get_by_label("Same step in all").check()
    samples = panel(page, "eval/samples").get_by_label("Step")
    for key, shown in (("ArrowLeft", "5"), ("ArrowRight", "25"), ("Home", "5")):
        samples.press(key)
        expect(panel(page, "other").locator("output")).to_have_text(shown)
    expect(panel(page, "weights").locator("output")).to_have_text("0")


def test_a_histogram_is_bars_and_over_time_a_map(opened: Open, run: Run) -> None:
    page = watch(opened, run)
    weights, plot = panel(page, "weights"), "document.querySelector(\"[data-media='weights'] .plot\")"
    page.wait_for_function(f"() => {plot}.data?.[0].type === 'bar' && {plot}.dataset.step === '30'", timeout=20_000)
    trace = page.evaluate(f"(({{x, width, y}}) => ({{x, width, y}}))({plot}.data[0])")
    assert trace == {"x": [30, 31], "width": [1, 2], "y": [4, 30]}
    weights.get_by_label("Step").press("ArrowLeft")
    page.wait_for_function(f"() => {plot}.data[0].y[1] === 20")
    weights.get_by_role("button", name="over time").click()
    page.wait_for_function(f"() => {plot}.data[0].type === 'heatmap'")
    assert page.evaluate(f"{plot}.data[0].x") == list(STEPS)
    assert page.evaluate(f"{plot}.layout.shapes[0].x0") == 20
    weights.get_by_label("Step").press("Home")
    page.wait_for_function(f"() => {plot}.layout.shapes[0].x0 === 0")
    weights.get_by_role("button", name="over time").click()
    page.wait_for_function(f"() => {plot}.data[0].type === 'bar'")


def test_what_a_living_run_logs_appears(opened: Open, run: Run) -> None:
    page = watch(opened, run)
    expect_shown(page, "eval/samples", 35)
    panel(page, "other").get_by_label("Step").press("Home")
    actions.log_media(run, [picture("eval/samples", 40, width=77), picture("other", 50), picture("a/new", 1, width=9)])
    expect_shown(page, "eval/samples", 77)
    expect(panel(page, "eval/samples").locator("[data-caption]")).to_have_text("5 steps")
    expect(panel(page, "other").locator("[data-caption]")).to_have_text("3 steps")
    expect(panel(page, "other").locator("output")).to_have_text("5")  # who looks at an earlier one stays there
    expect_shown(page, "a/new", 9)
    assert page.locator("[data-media]").first.get_attribute("data-media") == "a/new"


def test_a_picture_that_replaces_another_at_its_step_is_shown(opened: Open, run: Run) -> None:
    page = watch(opened, run)
    expect_shown(page, "eval/samples", 35)
    actions.log_media(run, [picture("eval/samples", 30, width=91)])
    expect_shown(page, "eval/samples", 91)


def test_the_first_picture_takes_the_place_of_the_empty_page(opened: Open, team: Team) -> None:
    run = runs.create_external(project=team.project, user=team.people["editor"], name="none yet")
    page = watch(opened, run)
    expect(page.get_by_role("heading", name="No picture or histogram yet")).to_be_visible()
    actions.log_media(run, [picture("samples", 1)])
    expect_shown(page, "samples", 5)
    expect(page.locator("#no-media")).to_have_count(0)


def test_what_a_rewind_drops_is_gone(opened: Open, run: Run) -> None:
    page = watch(opened, run)
    expect_shown(page, "eval/samples", 35)
    with transaction.atomic():
        actions.rewind(run.pk, 3)
        news.publish_on_commit(run.pk, "rewind", {"step": 3})
    expect_shown(page, "eval/samples", 5)
    expect(panel(page, "other")).to_have_count(0)
    assert [some.steps for some in queries.series_of(run.pk)] == [[0], [0]]


def test_pictures_are_there_without_scripts(opened: Open, run: Run) -> None:
    page = opened(reverse("run-media", args=[run.project.slug, run.pk]), java_script_enabled=False)
    expect(panel(page, "eval/samples").get_by_role("img", name="eval/samples at 30")).to_be_visible()
    expect(panel(page, "eval/samples").locator("input")).to_be_hidden()
    expect(panel(page, "weights").get_by_role("link", name="The numbers")).to_be_visible()


def test_series_are_found_by_words_those_that_come_later_too(opened: Open, run: Run) -> None:
    page = watch(opened, run)
    page.get_by_label("Find a series").fill("SAMP eval")
    expect(page.locator("[data-media]:visible")).to_have_count(1)
    expect(panel(page, "eval/samples")).to_be_visible()
    with transaction.atomic():
        actions.log_media(run, [bars(3, "later")])
    expect(panel(page, "later")).to_have_count(1)
    expect(panel(page, "later")).to_be_hidden()
    page.get_by_label("Find a series").fill("nothing")
    expect(page.locator("#media-none")).to_have_text("No series has these words.")
    page.get_by_label("Find a series").fill("")
    expect(page.locator("[data-media]:visible")).to_have_count(4)
    expect(panel(page, "later").locator(".plot")).to_have_attribute("data-step", "3")
