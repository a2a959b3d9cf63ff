"""A run of very many metrics: groups open when asked, the server searches, pins and layouts are links."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from django.db import transaction
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.training import log_points, running
from tests.pages.team import Team
from webapp.metrics import store
from webapp.metrics.models import ChartLayout
from webapp.metrics.points import Points
from webapp.runs.models import Run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LAYERS, PARTS = 12, 100


@pytest.fixture
def run(team: Team) -> Run:
    found = running(team.project, team.people["editor"]).run
    steps = np.arange(1, 6)
    some = Points.of(steps, steps / 7, 1.8e9 + steps)
    names = [f"layers/{layer}/weight.{part:03}" for layer in range(LAYERS) for part in range(PARTS)]
    with transaction.atomic():
        store.append(found.pk, dict.fromkeys([*names, "bare", "eval/loss", "eval/f1", "train/lr"], some))
    return found


def show(opened: Open, run: Run, query: str = "", **options: object) -> Page:
    page = opened(reverse("run", args=[run.project.slug, run.pk]) + query, **options)
    expect(page.locator('[data-metric="eval/loss"] [data-caption]')).to_contain_text("5 points")
    return page


def test_a_large_group_is_read_when_it_is_opened_level_by_level(opened: Open, run: Run) -> None:
    page = show(opened, run)
    assert page.locator("[data-metric]").count() == 4  # of 1,204
    layers = page.locator('[data-group="layers"]')
    expect(layers.locator("> summary")).to_contain_text("1,200")
    layers.locator("> summary").click()
    seventh = layers.locator('[data-group="layers/7"]')
    expect(seventh.locator("> summary")).to_contain_text("100")
    seventh.locator("> summary").click()
    chart = page.locator('[data-metric="layers/7/weight.000"]')
    expect(chart.locator("[data-caption]")).to_contain_text("5 points")
    seventh.get_by_role("button", name="Show more of 100").click()
    expect(seventh.locator("[data-metric]")).to_have_count(100)
    assert page.locator("[data-metric]").count() == 104


def test_metrics_are_found_by_the_server(opened: Open, run: Run) -> None:
    page = show(opened, run)
    page.get_by_label("Find a metric").fill("WEIGHT.042")
    expect(page.locator("#found [data-metric]")).to_have_count(LAYERS)
    expect(page.locator("#found")).to_contain_text("12 metrics")
    expect(page.locator('#found [data-metric="layers/0/weight.042"] [data-caption]')).to_contain_text("5 points")
    expect(page.locator('[data-metric="eval/loss"]')).to_be_hidden()
    page.get_by_label("Find a metric").fill("")
    expect(page.locator('[data-metric="eval/loss"]')).to_be_visible()
    expect(page.locator("#found [data-metric]")).to_have_count(0)


def test_a_pinned_chart_comes_first_for_everybody_with_the_link(opened: Open, run: Run) -> None:
    page = show(opened, run)
    page.get_by_label("Find a metric").fill("layers/3/ 099")
    panel = page.locator('[data-metric="layers/3/weight.099"]')
    panel.hover()
    panel.get_by_role("button", name="pin").click()
    page.get_by_label("log y").check()
    assert parse_qs(urlsplit(page.url).query) == {"x": ["step"], "pin": ["layers/3/weight.099"], "log_y": ["1"]}
    other = opened(page.url, role="viewer")
    first = other.locator('[data-group="first"] > section').first
    expect(first).to_have_attribute("data-metric", "layers/3/weight.099")
    expect(first.locator("[data-caption]")).to_contain_text("5 points")
    assert other.evaluate("document.querySelector('[data-group=first] .plot').layout.yaxis.type") == "log"


def test_a_layout_is_saved_for_the_project_and_can_be_its_default(opened: Open, run: Run) -> None:
    page = show(opened, run, "?x=relative&smoothing=0.9&pin=layers/5/weight.005&wide=eval/loss")
    page.locator(".chart-layouts > summary").click()
    page.get_by_label("Name of the layout").fill("depth")
    page.get_by_label("for everybody in").check()
    page.get_by_role("button", name="Save what is shown").click()
    page.wait_for_url(re.compile(r"layout=\d+"))
    saved = ChartLayout.objects.get()
    assert saved.settings == {
        "x": "relative", "smoothing": 0.9, "pin": ["layers/5/weight.005"], "wide": ["eval/loss"]
    }  # fmt: skip
    other = show(opened, run, role="viewer")
    expect(other.get_by_label("x", exact=True)).to_have_value("relative")
    expect(other.locator('[data-group="first"] > section').first).to_have_attribute(
        "data-metric", "layers/5/weight.005"
    )
    expect(other.locator('[data-metric="eval/loss"]')).to_have_class(re.compile("wide"))
    expect(other.get_by_role("button", name="Save what is shown")).to_have_count(0)


def test_new_metrics_of_a_closed_group_stay_in_it(opened: Open, run: Run) -> None:
    page = show(opened, run)
    expect(page.locator("#connection")).to_have_text("live")
    log_points(run, "layers/0/weight.000", [6])
    log_points(run, "eval/new", [6])
    expect(page.locator('[data-metric="eval/new"] [data-caption]')).to_contain_text("1 point")
    expect(page.locator('[data-metric="layers/0/weight.000"]')).to_have_count(0)


def test_without_scripts_the_numbers_of_all_are_there_page_by_page(opened: Open, run: Run) -> None:
    page = opened(reverse("run", args=[run.project.slug, run.pk]), java_script_enabled=False)
    expect(page.locator("noscript tbody tr")).to_have_count(200)
    page.get_by_role("link", name="The next metrics").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("layers/")
