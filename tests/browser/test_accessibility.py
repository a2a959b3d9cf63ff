"""Every main page by the rules of axe-core, in light and dark: nothing serious, nothing critical.

Of the dark page only the contrast is judged: nothing else changes with the colours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from django.urls import reverse
from playwright.sync_api import Page, expect

import hone
from tests.browser.conftest import Open
from tests.browser.training import log_lines, log_points, running
from tests.pages import fits
from tests.pages.team import Team
from tests.runs import scene
from tests.sweeps import scene as sweeps
from webapp.metrics.media import actions as media
from webapp.metrics.media import items
from webapp.runs import blobs, saved_views
from webapp.runs.models import Run
from webapp.runs.saved_views import Shown

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BAD = ("serious", "critical")
Prepare = Callable[[Page], None]


class Place(NamedTuple):
    """A page, and what is done on it before it is judged."""

    address: str
    prepare: Prepare | None = None


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> None:
    settings.STORAGE_URL = f"file://{tmp_path / 'blobs'}"
    settings.STORAGES = {**settings.STORAGES}


@pytest.fixture
def runs(team: Team) -> list[Run]:
    """One that runs, with everything that a run page can show, and two that wait."""
    attempt = running(team.project, team.people["editor"], "first")
    log_points(attempt.run, "train/loss", range(200))
    log_points(attempt.run, "eval/loss", range(0, 200, 20))
    log_points(attempt.run, "mine/score", [0, 1], [math.nan, 1.0])
    log_lines(attempt, "trained a little", level="warning")
    picture = hone.Image(np.zeros((4, 5, 3), np.uint8)).encoded()
    some = [items.image("samples", picture, step=step) for step in (0, 1)]
    media.write(attempt.run, some, [blobs.store_stream([picture]) for _ in some])
    return [attempt.run, *(scene.submit(team.project, user=team.people["editor"], name=name) for name in ("b", "c"))]


def violations(page: Page, **options: Any) -> list[str]:
    """One line an element: the rule, how bad it is, and the element's beginning."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_FILE_PATH.read_text())
    found = page.evaluate("options => axe.run(document, options)", {"resultTypes": ["violations"], **options})
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
        for rule in found["violations"]
        if rule["impact"] in BAD
        for node in rule["nodes"]
    ]


def judge(opened: Open, places: list[Place]) -> None:
    page, faults = None, []
    for place in places:
        page = page or opened(place.address)
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.goto(place.address)
        if place.prepare:
            place.prepare(page)
        page.wait_for_function("() => !document.querySelector('.htmx-request')")  # what is asked for is faint
        faults += [f"{place.address}: {fault}" for fault in violations(page)]
        page.emulate_media(color_scheme="dark")
        page.wait_for_timeout(100)  # colours fade
        contrast = {"type": "rule", "values": ["color-contrast"]}
        faults += [f"{place.address} in the dark: {fault}" for fault in violations(page, runOnly=contrast)]
    assert not faults, "\n".join(faults)


def drawn(page: Page) -> None:
    expect(page.locator(".plot .main-svg").first).to_be_visible(timeout=20_000)


def test_the_table_of_runs_and_what_opens_on_it(opened: Open, team: Team, runs: list[Run]) -> None:
    address = reverse("runs", args=[team.project.slug])
    saved_views.create(team.project, team.people["editor"], "mine", Shown(q="status = 'queued'"))

    def tick(page: Page) -> None:
        page.get_by_label("Select b").check()

    def complete(page: Page) -> None:
        page.get_by_label("Filter by name").press_sequentially("metr")
        page.get_by_label("Filter by name").press("ArrowDown")
        expect(page.get_by_role("option").first).to_be_visible()

    def choose(page: Page) -> None:
        page.get_by_role("link", name="Columns").click()
        expect(page.get_by_label("Find a column")).to_be_visible()

    def menus(page: Page) -> None:
        for name in ("views", "group-by", "export"):
            page.locator(f"#{name} summary").click()

    places = [Place(address, prepare) for prepare in (None, tick, complete, choose, menus)]
    places += [Place(f"{address}?q=status+%3D"), Place(f"{address}?group=status&columns=metrics.eval/loss")]
    judge(opened, [*places, Place(reverse("run-views", args=[team.project.slug]))])
    Run.objects.update(deleted_at="2026-01-01T00:00Z")
    judge(opened, [Place(address)])


def test_the_tabs_of_a_run(opened: Open, team: Team, runs: list[Run]) -> None:
    def at(name: str) -> str:
        return reverse(name, args=[team.project.slug, runs[0].pk])

    names = ("run-log", "run-config", "run-artifacts", "run-attempts")

    def watch(page: Page) -> None:
        drawn(page)
        page.locator(".chart-layouts summary").click()
        page.locator(".chart-panel").first.hover()

    judge(opened, [Place(at("run"), watch), Place(at("run-media")), *(Place(at(name)) for name in names)])


def test_comparing(opened: Open, team: Team, runs: list[Run]) -> None:
    query = "?runs=" + ",".join(str(run.pk) for run in runs)
    for run in runs[1:]:
        log_points(run, "eval/loss", range(0, 200, 20))
    places = [Place(reverse("compare-curves") + query, drawn), Place(reverse("compare-curves"))]
    places += [Place(reverse(name) + query) for name in ("compare", "compare-diff")]
    judge(opened, [*places, Place(reverse("run-new", args=[team.project.slug]))])


def test_fits_and_sweeps(opened: Open, team: Team) -> None:
    fit = fits.fit_of(team.project, team.people["editor"])
    sweep = sweeps.finish(sweeps.create(project=team.project, user=team.people["editor"], trials=4, seeds=2), loss)
    places = [Place(reverse("fit", args=[team.project.slug, fit.pk]))]
    places += [Place(reverse("sweep", args=[team.project.slug, sweep.pk]), drawn)]
    names = ("scaling", "sweeps", "sweep-new", "fit-new")
    judge(opened, [*places, *(Place(reverse(name, args=[team.project.slug])) for name in names)])


def loss(run: Run) -> float:
    return 1 + float(run.spec["optimizer"]["lr"])


def test_the_other_pages(opened: Open, team: Team, runs: list[Run]) -> None:
    names = ("queue", "workers", "methods", "styleguide")
    judge(opened, [*(Place(reverse(name)) for name in names), Place(reverse("method", args=["adapters", "lora"]))])


def test_a_grave_fault_would_be_found(opened: Open, team: Team, runs: list[Run]) -> None:
    """A field that has lost its label, and a text that is nearly of its ground's colour."""
    page = opened(reverse("runs", args=[team.project.slug]))
    page.get_by_label("Select b").evaluate("box => box.removeAttribute('aria-label')")
    page.locator("h1").evaluate("head => { head.style.color = '#eee' }")
    found = violations(page)
    assert any(re.match(r"label \(critical\)", fault) for fault in found)
    assert any(re.match(r"color-contrast \(serious\): <h1", fault) for fault in found)
