"""Curves of a hundred runs, of groups with their bands, zoomed and pointed at, in a real browser."""

from __future__ import annotations

import csv
import io
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from django.db import transaction
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.pages.team import Team
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs.models import Queue, Run
from webapp.runs.states import Status

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
CHART_MS = 20_000  # where everything else runs at once; alone it is a second
SPIKE = 1234


def make(team: Team, runs: int, steps: int) -> list[Run]:
    """Ten methods in turn; all fall from their number, and the first has a spike."""
    Queue.objects.get_or_create(name="default")
    made = [
        Run(project=team.project, name=f"run {n}", kind="finetune", queue_id="default", status=Status.SUCCEEDED,
            tags=["many"], spec={"seed": n // 10, "method": {"name": f"m{n % 10}"}})
        for n in range(runs)
    ]  # fmt: skip
    Run.objects.bulk_create(made)
    x = np.arange(steps)
    with transaction.atomic():
        for n, run in enumerate(made):
            y = 1 + n % 10 + np.exp(-x / steps) + 0.01 * (n // 10)
            y[SPIKE if n == 0 and steps > SPIKE else 0] += 50
            store.append(
                run.pk, {"train/loss": Points.of(x, y, 1.8e9 + x), "eval/loss": Points.of(x[::50], y[::50], x[::50])}
            )
    return made


def show(opened: Open, query: str, lines: int, **options: object) -> Page:
    page = opened(f"{reverse('compare-curves')}?{query}", **options)
    page.locator(f'.plot[data-lines="{lines}"]').first.wait_for(state="attached", timeout=CHART_MS)
    return page


def inked(page: Page) -> int:
    """How many pixels of the first chart's canvas are painted."""
    return page.evaluate(
        """() => { const canvas = document.querySelector('canvas[data-layer="lines"]');
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let count = 0; for (let i = 3; i < data.length; i += 4) count += data[i] > 0; return count; }"""
    )


def test_keys_zoom_all_charts_and_go_back(opened: Open, team: Team) -> None:
    make(team, 2, 400)
    page = show(opened, "tag=many&metrics=train/loss&smoothing=0", 2)
    plot = page.locator(".plot").first
    plot.focus()
    page.keyboard.press("+")
    page.wait_for_url(re.compile("from="))
    ends = parse_qs(urlsplit(page.url).query)
    assert 95 < float(ends["from"][0]) < 105
    assert 294 < float(ends["to"][0]) < 304
    expect(page.locator("[data-caption]").first).to_contain_text("zoomed")
    page.keyboard.press("0")
    page.wait_for_url(lambda url: "from=" not in url)
    expect(page.locator("[data-caption]").first).not_to_contain_text("zoomed")


def test_a_hundred_runs_are_painted_and_pointed_at_quickly(opened: Open, team: Team) -> None:
    make(team, 100, 2000)
    page = show(opened, "tag=many&metrics=train/loss&smoothing=0", 100)
    expect(page.locator("[data-caption]")).to_have_text("100 lines · 200,000 points")
    assert inked(page) > 1000
    painted = []
    for _ in range(5):
        revision = int(page.locator(".plot").get_attribute("data-revision") or 0)
        page.get_by_label("clip outliers").click()
        page.locator(f'.plot[data-revision="{revision + 1}"]').wait_for(state="attached")
        painted.append(float(page.locator(".plot").get_attribute("data-paint-ms") or "inf"))
    assert sorted(painted)[2] < 100, painted
    box = page.locator(".nsewdrag").bounding_box()
    assert box
    hovered = []
    for share in np.linspace(0.1, 0.9, 9):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.6 * box["height"])
        hovered.append(float(page.locator(".plot").get_attribute("data-hover-ms") or "inf"))
    assert sorted(hovered)[4] < 100, hovered


def test_a_spike_is_there_at_every_zoom_and_double_click_goes_back(opened: Open, team: Team) -> None:
    make(team, 3, 4000)
    page = show(opened, "tag=many&metrics=train/loss&smoothing=0", 3)
    top = "document.querySelector('.plot').layout.yaxis.range[1]"
    assert page.evaluate(top) > 50
    for _ in range(3):
        with page.expect_response(re.compile("from=")) as asked:
            zoom_around(page, SPIKE)
        query = parse_qs(urlsplit(asked.value.url).query)
        assert float(query["from"][0]) < SPIKE < float(query["to"][0])
        expect(page.locator("[data-caption]")).to_contain_text("zoomed")
        page.wait_for_function("() => Math.max(...document.querySelector('.plot').data[0].y) > 50")
    other = show(opened, urlsplit(page.url).query, 3, role="viewer")  # the address holds the window
    expect(other.locator("[data-caption]")).to_contain_text("zoomed")
    assert max(other.evaluate("document.querySelector('.plot').data[0].x")) <= float(query["to"][0])
    page.locator(".nsewdrag").dblclick()
    expect(page.locator("[data-caption]")).to_have_text("3 lines · 12,000 points")
    assert "from" not in parse_qs(urlsplit(page.url).query)
    page.get_by_label("clip outliers").check()
    expect(page.locator("[data-caption]")).to_contain_text("3 points outside, clipped")  # each run has one
    assert page.evaluate(top) < 50


def test_only_new_points_travel_while_runs_go_on(opened: Open, team: Team) -> None:
    made = make(team, 3, 3000)
    Run.objects.filter(pk__in=[made[0].pk, made[2].pk]).update(status=Status.RUNNING)
    page = show(opened, "tag=many&metrics=train/loss&smoothing=0", 3)
    expect(page.locator("[data-caption]")).to_have_text("3 lines · 9,000 points · live")
    with transaction.atomic():
        store.append(made[0].pk, {"train/loss": Points.of([3000, 3001], [99.0, 1.0], [1.8e9 + 3000, 1.8e9 + 3001])})
    with page.expect_response(re.compile("since=")) as asked:
        expect(page.locator("[data-caption]")).to_have_text("3 lines · 9,002 points · live")
    told = asked.value.json()["lines"]
    assert [(line["runs"], line["count"]) for line in told] == [([made[0].pk], 3)]  # its last one, and two more
    assert len(asked.value.body()) < 1000  # where the whole was 100 kB and more
    assert max(page.evaluate("document.querySelector('.plot').data[0].y")) == 99
    Run.objects.filter(pk__in=[made[0].pk, made[2].pk]).update(status=Status.SUCCEEDED)
    expect(page.locator("[data-caption]")).to_have_text("3 lines · 9,002 points")


def test_x_can_be_any_metric_that_the_runs_have(opened: Open, team: Team) -> None:
    make(team, 2, 200)
    page = show(opened, "tag=many&metrics=train/loss", 2)
    page.get_by_label("x", exact=True).select_option(label="eval/loss")
    page.wait_for_url("**x=metric*")
    expect(page.locator(".xtitle")).to_have_text("eval/loss")


def zoom_around(page: Page, x: float) -> None:
    pixel = page.evaluate("x => document.querySelector('.plot')._fullLayout.xaxis.l2p(x)", x)
    box = page.locator(".nsewdrag").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + pixel - 60, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + pixel + 60, middle, steps=6)
    page.mouse.up()


def test_groups_have_bands_and_their_members_are_one_click_away(opened: Open, team: Team) -> None:
    made = make(team, 30, 200)
    query = "tag=many&metrics=train/loss,eval/loss&band=std&group=method.name"
    page = show(opened, query, 10)
    expect(page.locator("[data-caption]").first).to_have_text("10 groups · 2,000 points")
    before = inked(page)
    page.get_by_label("Show m9").uncheck()
    page.locator('.plot[data-lines="9"]').first.wait_for(state="attached")
    assert inked(page) != before
    box = page.locator(".nsewdrag").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    expect(page.locator('[data-metric="eval/loss"] .cursor-line')).to_be_visible()
    page.get_by_role("link", name="m3", exact=True).click()
    page.locator('.plot[data-lines="3"]').first.wait_for(state="attached", timeout=CHART_MS)
    expect(page.locator(".curves-legend a")).to_have_text([made[n].name for n in (3, 13, 23)])


def test_a_link_shows_the_same_and_files_hold_it(opened: Open, team: Team) -> None:
    make(team, 3, 200)
    page = show(opened, "tag=many&metrics=train/loss", 3)
    page.get_by_label("log y").check()
    page.get_by_label("Smoothing").fill("0.9")
    page.get_by_label("x", exact=True).select_option("relative")
    page.wait_for_url("**x=relative*")
    other = show(
        opened, urlsplit(page.url).query, 3, role="viewer", color_scheme="dark", viewport={"width": 390, "height": 844}
    )
    assert other.evaluate("document.querySelector('.plot').layout.yaxis.type") == "log"
    expect(other.get_by_label("Smoothing")).to_have_value("0.9")
    assert other.evaluate("document.documentElement.scrollWidth") <= 390
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<svg")):
        with other.expect_download() as download:
            other.get_by_role("button", name=kind.upper()).dispatch_event("click")
        assert download.value.path().read_bytes().startswith(start)
    with other.expect_download() as download:
        other.get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert len(rows) == 3 * 200
    assert rows[5]["step"] == "5"
