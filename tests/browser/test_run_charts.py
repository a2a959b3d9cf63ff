"""Charts obey the policy and answer to the hand: zoom, axes, smoothing, theme."""

from __future__ import annotations

import csv
import math
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from django.db import transaction
from django.urls import reverse
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import Open
from tests.browser.training import log_points, running
from tests.pages.team import Team
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs import actions
from webapp.runs.models import Attempt, Run
from webapp.runs.states import Status

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PANEL = '[data-metric="train/loss"]'
SPIKE = 654_321


@pytest.fixture
def run(team: Team) -> Run:
    attempt: Attempt = running(team.project, team.people["editor"])
    steps = range(1, 6001)
    log_points(attempt.run, "train/loss", steps, [10 ** (-step / 1000) for step in steps])
    log_points(attempt.run, "train/tokens", steps, [1024.0 * step for step in steps])
    log_points(attempt.run, "eval/loss", range(50, 1000, 50))
    return actions.finish(attempt, Status.SUCCEEDED, result={"memory": {"peak_bytes": 2**31}, "wall_time_s": 1.0})


def show(opened: Open, run: Run, **options: object) -> Page:
    page = opened(reverse("run", args=[run.project.slug, run.pk]), **options)
    expect(page.locator(f"{PANEL} [data-caption]")).to_contain_text("6,000 points")
    return page


def ticks(page: Page, axis: str) -> list[str]:
    return page.locator(f"{PANEL} .plot .{axis}tick text").all_text_contents()


def line_colours(page: Page) -> list[str]:
    paths = page.locator(f"{PANEL} .plot .scatterlayer .js-line")
    return [path.evaluate("path => getComputedStyle(path).stroke") for path in paths.all()]


def drag(page: Page, start: float, stop: float) -> None:
    """Across the plot, from one share of its width to another."""
    box = page.locator(f"{PANEL} .plot .nsewdrag").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + stop * box["width"], middle, steps=8)
    page.mouse.up()


def test_the_complaints_of_the_policy_are_heard(opened: Open, run: Run, complaints: list[str]) -> None:
    """What the other tests rely on: a violation does reach the list that must stay empty."""
    page = show(opened, run)
    page.evaluate("document.body.setAttribute('style', 'color: red')")
    page.evaluate("document.head.append(Object.assign(document.createElement('style'), {textContent: 'a {}'}))")
    page.wait_for_timeout(100)
    assert len([text for text in complaints if "Content Security Policy" in text]) == 2
    complaints.clear()


def test_charts_are_drawn_within_the_policy(opened: Open, run: Run) -> None:
    """Markup in tick labels, hovering, figures of the server: each is a way in which Plotly sets styles."""
    page = show(opened, run)
    page.locator(f"{PANEL}").hover()
    page.locator(f"{PANEL} button[data-act=log]").click()
    expect(page.locator(f"{PANEL} .plot .ytick tspan").first).to_be_attached()  # an exponent
    size = page.locator(f"{PANEL} .plot .ytick tspan[dy]").first.evaluate("tspan => tspan.style.fontSize")
    assert size == "70%"
    page.locator(f"{PANEL} .plot").hover(position={"x": 200, "y": 100})
    expect(page.locator(f"{PANEL} .hoverlayer text").first).to_be_visible()
    expect(page.locator("[data-figure*=memory] .bars path").first).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.main-svg')).position") == "absolute"


@pytest.mark.parametrize(
    ("values", "labels"),
    [([0.2, 0.5, 3.0], ["0.2", "0.5", "1", "2"]), ([30.0, 45.0, 60.0], ["30", "40", "50", "60"])],
)
def test_a_logarithmic_axis_of_few_decades_has_plain_numbers(
    opened: Open, run: Run, values: list[float], labels: list[str]
) -> None:
    log_points(run, "eval/score", [1, 2, 3], values)
    page = opened(reverse("run", args=[run.project.slug, run.pk]))
    panel = page.locator('[data-metric="eval/score"]')
    panel.scroll_into_view_if_needed()
    panel.hover()
    panel.locator("button[data-act=log]").click()
    expect(panel.locator(".plot .ytick text").last).to_have_text(labels[-1])
    shown = panel.locator(".plot .ytick text").all_text_contents()
    assert set(labels) <= {label.strip() for label in shown}
    sizes = [label.evaluate("text => getComputedStyle(text).fontSize") for label in panel.locator(".ytick text").all()]
    assert len(set(sizes)) == 1


def test_zooming_reads_a_finer_window_and_double_click_goes_back(opened: Open, run: Run) -> None:
    page = show(opened, run)
    expect(page.locator(f"{PANEL} .plot .nsewdrag")).to_be_attached()
    with page.expect_request(re.compile("from=")) as asked:
        drag(page, 0.5, 0.6)
    query = parse_qs(urlsplit(asked.value.url).query)
    start, stop = int(query["from"][0]), int(query["to"][0])
    assert 2500 < start < 3300 and 3300 < stop < 4100
    caption = page.locator(f"{PANEL} [data-caption]")
    expect(caption).to_contain_text("zoomed")
    shown = page.evaluate("selector => document.querySelector(selector + ' .plot').data[0].x", PANEL)
    assert shown == list(range(start, stop + 1))  # every step of it, where all 6,000 were decimated
    page.locator(f"{PANEL} .plot .nsewdrag").dblclick()
    expect(caption).not_to_contain_text("zoomed")


def test_keys_zoom_move_and_go_back(opened: Open, run: Run) -> None:
    """Of 6,000 steps a quarter goes at either end, then half of the rest."""
    page = show(opened, run)
    expect(page.locator(f"{PANEL} .plot .nsewdrag")).to_be_attached()
    plot, caption = page.locator(f"{PANEL} .plot"), page.locator(f"{PANEL} [data-caption]")
    plot.focus()
    for key, low, high in (("+", 1500, 4500), ("+", 2250, 3750), ("ArrowRight", 2625, 4125), ("-", 1875, 4875)):
        with page.expect_request(re.compile("from=")) as asked:
            page.keyboard.press(key)
        query = parse_qs(urlsplit(asked.value.url).query)
        assert abs(int(query["from"][0]) - low) < 20
        assert abs(int(query["to"][0]) - high) < 20
        expect(caption).to_contain_text("zoomed")
    page.keyboard.press("0")
    expect(caption).not_to_contain_text("zoomed")


def test_a_spike_among_a_million_points_is_drawn_at_every_zoom(opened: Open, run: Run) -> None:
    steps = np.arange(1_000_000)
    values = np.sin(steps / 1000)
    values[SPIKE] = 1000.0
    with transaction.atomic():
        store.append(run.pk, {"long": Points.of(steps, values, 1.8e9 + steps)})
    page = opened(reverse("run", args=[run.project.slug, run.pk]) + "?x=step&smoothing=0&pin=long")
    caption = page.locator('[data-metric="long"] [data-caption]')
    expect(caption).to_have_text("1,000,000 points")
    assert highest(page) == 1000
    widths = [10**power for power in (5, 4, 3, 2, 1)]
    for width in [*widths, *reversed(widths)]:  # in, and out again
        low, high = SPIKE - width // 3, SPIKE + width // 2
        with page.expect_response(re.compile(f"from={low}&to={high}")):
            page.evaluate(
                "range => window.Plotly.relayout(document.querySelector('[data-metric=long] .plot'),"
                " {'xaxis.range[0]': range[0], 'xaxis.range[1]': range[1]})",
                [low, high],
            )
        expect(caption).to_contain_text(f"{high - low + 1:,} points")
        assert highest(page) == 1000, width


def highest(page: Page) -> float:
    """Of the line that is drawn."""
    return page.evaluate("Math.max(...document.querySelector('[data-metric=long] .plot').data[0].y)")


def test_every_point_is_drawn_where_they_are_few_enough_and_else_it_says_so(
    opened: Open, run: Run, complaints: list[str]
) -> None:
    steps = np.arange(250_000)
    with transaction.atomic():
        store.append(run.pk, {"long": Points.of(steps, np.sin(steps), 1.8e9 + steps)})
    page = show(opened, run)
    drawn = 'name => document.querySelector(`[data-metric="${name}"] .plot`).data[0].x.length'
    assert page.evaluate(drawn, "train/loss") < 6000
    press(page, "train/loss", "all points")
    expect(page.locator(f"{PANEL} [data-caption]")).to_contain_text("6,000 points, all drawn")
    assert page.evaluate(drawn, "train/loss") == 6000
    page.locator('[data-metric="long"]').scroll_into_view_if_needed()
    expect(page.locator('[data-metric="long"] [data-caption]')).to_contain_text("250,000 points")
    press(page, "long", "all points")
    expect(page.locator('[data-metric="long"] [data-caption]')).to_contain_text("at most 200,000")


def press(page: Page, metric: str, name: str) -> None:
    panel = page.locator(f'[data-metric="{metric}"]')
    panel.hover()
    panel.get_by_role("button", name=name).click()


def test_a_chart_is_a_file_of_each_kind_and_the_numbers_are_never_clipped(opened: Open, run: Run) -> None:
    log_points(run, "odd", range(1, 401), [1e6 if step == 200 else step / 400 for step in range(1, 401)])
    page = opened(reverse("run", args=[run.project.slug, run.pk]) + "?x=step&clip=1&pin=odd")
    panel = page.locator('[data-metric="odd"]')
    expect(panel.locator("[data-caption]")).to_contain_text("1 point outside, clipped")
    assert page.evaluate("document.querySelector('[data-metric=odd] .plot').layout.yaxis.range[1]") < 2
    panel.hover()
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<svg")):
        with page.expect_download() as download:
            panel.get_by_role("button", name=kind).click()
        assert download.value.path().read_bytes().startswith(start)
    with page.expect_download() as download:
        panel.get_by_role("link", name="csv").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert len(rows) == 400 and max(float(row["value"]) for row in rows) == 1e6


def test_pointing_at_one_chart_shows_the_place_on_the_others(opened: Open, run: Run) -> None:
    page = show(opened, run)
    expect(page.locator('[data-metric="eval/loss"] .js-line').first).to_be_attached()
    page.locator(f"{PANEL} .plot").hover(position={"x": 120, "y": 100})
    expect(page.locator('[data-metric="eval/loss"] .cursor-line')).to_be_visible()


def test_x_can_be_tokens_and_both_axes_logarithmic(opened: Open, run: Run) -> None:
    page = show(opened, run)
    page.get_by_label("x", exact=True).select_option("tokens")
    expect(page.locator(f"{PANEL} .xtitle")).to_have_text("tokens")
    last = "selector => document.querySelector(selector + ' .plot').data[0].x.at(-1)"
    page.wait_for_function(f"selector => ({last})(selector) === {6000 * 1024}", arg=PANEL)
    page.get_by_label("log x").check()
    page.get_by_label("log y").check()
    page.wait_for_function("s => document.querySelector(s + ' .plot').layout.yaxis.type === 'log'", arg=PANEL)
    page.reload()
    expect(page.locator(f"{PANEL} .xtitle")).to_have_text("tokens")  # the choice is remembered


def test_smoothing_is_the_debiased_average(opened: Open, run: Run) -> None:
    """Against the formula in tests/charts/smoothing.py, point by point."""
    from tests.charts.smoothing import smooth

    page = show(opened, run)
    page.get_by_label("Smoothing").fill("0.9")
    page.wait_for_function("s => document.querySelector(s + ' [data-caption]').textContent.includes('0.9')", arg=PANEL)
    raw, trend = page.evaluate("s => document.querySelector(s + ' .plot').data.map(({x, y}) => ({x, y}))", PANEL)
    expected = smooth(np.array(raw["x"], float), np.array(raw["y"]), 0.9)
    np.testing.assert_allclose(trend["y"], expected, rtol=1e-12)
    assert math.isfinite(expected[0])


def test_a_change_of_theme_draws_the_charts_anew(opened: Open, run: Run) -> None:
    page = show(opened, run, color_scheme="light")
    expect(page.locator(f"{PANEL} .js-line").first).to_be_attached()
    light = line_colours(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "([s, old]) => getComputedStyle(document.querySelector(s + ' .js-line:last-child')).stroke !== old",
        arg=[PANEL, light[-1]],
    )
    assert line_colours(page) != light


def test_charts_below_the_screen_are_read_when_scrolled_to(opened: Open, run: Run) -> None:
    for number in range(20):
        log_points(run, f"many/m{number:02}", [1, 2, 3])
    page = opened("about:blank")
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.extend(parse_qs(urlsplit(request.url).query).get("name", []))

    page.on("request", note)
    page.goto(reverse("run", args=[run.project.slug, run.pk]))
    expect(page.locator(f"{PANEL} [data-caption]")).to_contain_text("points")
    assert "many/m19" not in asked
    page.locator('[data-metric="many/m19"]').scroll_into_view_if_needed()
    expect(page.locator('[data-metric="many/m19"] [data-caption]')).to_contain_text("3 points")


def test_a_metric_can_be_found(opened: Open, run: Run) -> None:
    page = show(opened, run)
    page.get_by_label("Find a metric").fill("tokens")
    expect(page.locator('[data-metric="train/tokens"]')).to_be_visible()
    expect(page.locator(PANEL)).to_be_hidden()


def test_a_phone_shows_the_page_without_sideways_scrolling(opened: Open, run: Run) -> None:
    page = show(opened, run, viewport={"width": 390, "height": 844})
    for name in ("run", "run-log", "run-config", "run-artifacts", "run-attempts", "run-provenance"):
        page.goto(reverse(name, args=[run.project.slug, run.pk]))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


def test_without_scripts_the_numbers_are_there(opened: Open, run: Run) -> None:
    page = opened(reverse("run", args=[run.project.slug, run.pk]), java_script_enabled=False)
    row = page.get_by_role("row").filter(has_text="train/tokens")
    expect(row).to_contain_text("6,000")


def test_a_chart_says_what_of_it_cannot_be_drawn(opened: Open, team: Team) -> None:
    attempt = running(team.project, team.people["editor"])
    for name, values in {"a": [math.nan] * 3, "b": [1.0, math.inf, 2.0], "c": [-1.0, 0.0, 1.0]}.items():
        with transaction.atomic():
            store.append(attempt.run_id, {name: Points.of(range(3), values, [1.0, 2.0, 3.0])})
    page = opened(reverse("run", args=[team.project.slug, attempt.run_id]))
    caption = {name: page.locator(f'[data-metric="{name}"] [data-caption]') for name in "abc"}
    expect(caption["a"]).to_have_text("3 points · nothing to draw: every value is NaN or infinite")
    expect(caption["b"]).to_have_text("3 points · gaps where it is NaN or infinite")
    expect(caption["c"]).to_have_text("3 points")
    page.get_by_label("log y").check()
    expect(caption["c"]).to_have_text("3 points · gaps where it is 0 or less")
