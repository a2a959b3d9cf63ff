"""Every chart in a real Chromium, in both themes, under the policy of the pages."""

from __future__ import annotations

import json
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import plotly
import pytest
from django.db import transaction

from tests.charts.sweeps.scene import fill, make_sweep
from webapp.charts.sweeps import charts, figure_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[3]
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'"


def page_with(browser: Browser, figures: dict[str, Any], theme: str) -> tuple[Page, list[str]]:
    """The page, drawn by static/js/charts.js, and what it complained of."""
    panels = "".join(
        f'<article class="panel" id="{name}"><small data-caption></small>'
        f'<div class="plot" data-figure="/figures/{name}"></div></article>'
        for name in figures
    )
    styles = "".join(f'<link rel="stylesheet" href="/static/css/{name}.css">' for name in ("tokens", "panel", "plotly"))
    script = '<script type="module" src="/static/js/charts.js"></script>'
    html = f'<!doctype html><html data-theme="{theme}"><head>{styles}{script}</head><body>{panels}</body></html>'

    def answer(route: Route) -> None:
        path = urlparse(route.request.url).path
        headers = {"Content-Security-Policy": POLICY}
        if path == "/":
            route.fulfill(body=html, headers=headers, content_type="text/html; charset=utf-8")
        elif path.startswith("/figures/"):
            route.fulfill(body=json.dumps(figures[path.removeprefix("/figures/")]), content_type="application/json")
        else:
            file = PLOTLY if path.endswith("plotly.min.js") else ROOT / path.lstrip("/")
            route.fulfill(path=file, headers=headers, content_type=mimetypes.guess_type(path)[0])

    page = browser.new_page(viewport={"width": 1000, "height": 6000})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.route("**/*", answer)
    page.goto("http://charts.test/")
    return page, complaints


@pytest.fixture(scope="module")
def figures(django_db_setup: None, django_db_blocker: Any) -> dict[str, Any]:
    """Made before the browser starts: its event loop would open a connection that nobody closes."""
    with django_db_blocker.unblock(), transaction.atomic():
        sweep = make_sweep(stopper="predicted", seeds=2, budget={"gpu_hours": 3})
        fill(sweep)
        made = {name: figure_of(name, sweep, {}) for name in charts()}
        transaction.set_rollback(True)
    return made


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_chart_is_drawn_in_the_colours_of_the_theme(
    figures: dict[str, Any], chromium: Browser, theme: str
) -> None:
    page, complaints = page_with(chromium, figures, theme)
    for name in figures:
        page.locator(f"#{name} .main-svg").first.wait_for(timeout=60_000)
        assert "--" not in page.locator(f"#{name} .plot").inner_html(), "a variable was not resolved"
        assert page.locator(f"#{name} [data-caption]").inner_text() == figures[name]["layout"]["meta"]["caption"]
    assert complaints == []
    page.close()
