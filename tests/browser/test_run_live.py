"""An open run page shows what the training code says, as it says it, with no gap and nothing twice."""

from __future__ import annotations

import time

import pytest
import redis
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.training import log_lines, log_points, rewind, running
from tests.pages.team import Team
from tests.runs import scene
from webapp.metrics import queries
from webapp.runs import actions, news
from webapp.runs.models import Attempt

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def attempt(team: Team) -> Attempt:
    started = running(team.project, team.people["editor"])
    log_points(started.run, "train/loss", range(1, 101))
    return started


def watch(opened: Open, attempt: Attempt, tab: str = "run", **options: object) -> Page:
    page = opened(reverse(tab, args=[attempt.run.project.slug, attempt.run_id]), **options)
    expect(page.locator("#connection")).to_have_text("live")
    return page


def steps_on(page: Page, metric: str = "train/loss") -> list[int]:
    """The x of the raw line, as Plotly holds it."""
    return page.evaluate('name => document.querySelector(`[data-metric="${name}"] .plot`).data[0].x', metric)


def expect_points(page: Page, count: int, metric: str = "train/loss") -> None:
    caption = page.locator(f'[data-metric="{metric}"] [data-caption]')
    expect(caption).to_contain_text(f"{count:,} point{'s' if count > 1 else ''}")


def test_a_point_is_on_the_page_within_a_second(opened: Open, attempt: Attempt) -> None:
    page = watch(opened, attempt)
    expect_points(page, 100)
    took = []
    for step in range(101, 106):
        began = time.monotonic()
        log_points(attempt.run, "train/loss", [step])
        page.wait_for_function(
            "step => document.querySelector('[data-metric=\"train/loss\"] .plot').data[0].x.at(-1) === step", arg=step
        )
        took.append(time.monotonic() - began)
    assert max(took) < 1.0, took


@pytest.mark.parametrize("x", ["step", "tokens"])
def test_only_new_points_travel(opened: Open, attempt: Attempt, x: str) -> None:
    """Whatever the page reads once its charts are drawn, in bytes. Over steps the stream brings all that it needs."""
    log_points(attempt.run, "train/loss", range(101, 3001))
    log_points(attempt.run, "train/tokens", [1, 3000, 4000], [1000.0, 3e6, 4e6])
    page = opened(reverse("run", args=[attempt.run.project.slug, attempt.run_id]) + f"?x={x}&smoothing=0")
    expect_points(page, 3000)
    expect_points(page, 3, "train/tokens")
    read: list[int] = []
    page.on("response", lambda response: "/series" in response.url and read.append(len(response.body())))
    log_points(attempt.run, "train/loss", range(3001, 3011))
    expect_points(page, 3010)
    drawn = page.evaluate("document.querySelector('[data-metric=\"train/loss\"] .plot').data[0].x")
    assert drawn[-1] == {"step": 3010, "tokens": 3.01e6}[x]
    assert len(read) == {"step": 0, "tokens": 1}[x]
    assert sum(read) < 1000, read  # where the whole is 20 kB and more


def test_a_page_that_was_offline_catches_up_without_gap_or_double(
    opened: Open, attempt: Attempt, complaints: list[str]
) -> None:
    page = watch(opened, attempt)
    expect_points(page, 100)
    page.context.set_offline(True)
    log_points(attempt.run, "train/loss", range(101, 151))
    page.wait_for_timeout(300)
    log_points(attempt.run, "train/loss", range(151, 181))
    page.context.set_offline(False)
    expect_points(page, 180)
    log_points(attempt.run, "train/loss", [181])
    expect_points(page, 181)
    assert steps_on(page) == list(range(1, 182))
    told = ("ERR_INTERNET_DISCONNECTED", "htmx:afterRequest", "htmx:sendError")  # what was asked for then
    complaints[:] = [text for text in complaints if not any(word in text for word in told)]


def test_a_wiped_redis_loses_no_point(opened: Open, attempt: Attempt) -> None:
    page = watch(opened, attempt)
    expect_points(page, 100)
    redis.Redis.from_url(settings.REDIS_URL).delete(news.key_of(attempt.run_id))
    log_points(attempt.run, "train/loss", range(101, 121))
    expect_points(page, 120)
    assert steps_on(page) == list(range(1, 121))


def test_a_resumed_run_goes_back_to_its_checkpoint(opened: Open, attempt: Attempt) -> None:
    page = watch(opened, attempt)
    expect_points(page, 100)
    rewind(attempt.run, 60)
    expect_points(page, 60)
    log_points(attempt.run, "train/loss", range(61, 71))
    expect_points(page, 70)
    assert steps_on(page) == list(range(1, 71))


def test_a_new_metric_gets_its_chart_at_once(opened: Open, attempt: Attempt) -> None:
    page = watch(opened, attempt)
    expect_points(page, 100)
    log_points(attempt.run, "mine/odd name", [1, 2, 3], [1.0, float("nan"), 3.0])
    page.locator('[data-metric="mine/odd name"]').scroll_into_view_if_needed()
    expect_points(page, 3, "mine/odd name")
    expect(page.locator('[data-group="mine"] h2').first).to_have_text("mine")


def test_few_points_are_drawn_as_they_come(opened: Open, attempt: Attempt) -> None:
    """Without smoothing nothing but the appended arrays changes, which Plotly does not notice by itself."""
    page = watch(opened, attempt)
    log_points(attempt.run, "eval/loss", [50], [2.0])
    marks = page.locator('[data-metric="eval/loss"] .scatterlayer .point')
    expect(marks).to_have_count(1)
    log_points(attempt.run, "eval/loss", [100], [1.5])
    expect(marks).to_have_count(2)
    log_points(attempt.run, "system/cpu_percent", [1])
    log_points(attempt.run, "eval/perplexity", [1])
    expect(page.locator("#groups > [data-group]")).to_have_count(2)
    order = page.locator("#groups > [data-group]").evaluate_all("groups => groups.map(group => group.dataset.group)")
    assert order == ["eval", "system"]


def test_log_lines_arrive_once_and_as_text(opened: Open, attempt: Attempt) -> None:
    log_lines(attempt, "before the page")
    page = watch(opened, attempt, "run-log")
    log_lines(attempt, "<b>loud</b>", "second")
    expect(page.locator(".line span")).to_have_text(["before the page", "<b>loud</b>", "second"])
    log_lines(attempt, "careful", level="warning")
    expect(page.locator(".line-warning span")).to_have_text("careful")


def test_the_log_stops_following_when_one_scrolls_up(opened: Open, attempt: Attempt) -> None:
    log_lines(attempt, *(f"line {number}" for number in range(300)))
    page = watch(opened, attempt, "run-log")
    box, follow = page.locator("[data-log]"), page.locator("[data-follow]")
    at_end = "box => box.scrollHeight - box.scrollTop - box.clientHeight < 24"
    assert box.evaluate(at_end)
    box.evaluate("box => { box.scrollTop = 0 }")
    expect(follow).not_to_be_checked()
    log_lines(attempt, "late")
    expect(page.get_by_text("late", exact=True)).to_be_attached()
    assert box.evaluate("box => box.scrollTop") == 0
    follow.check()
    assert box.evaluate(at_end)


def test_the_state_and_the_buttons_change_with_the_run(opened: Open, attempt: Attempt) -> None:
    page = watch(opened, attempt)
    head = page.locator("#run-head")
    head.get_by_role("button", name="Pause").click()
    expect(head.locator(".status")).to_have_text("pausing")
    actions.stopped(attempt, 100)
    expect(head.locator(".status")).to_have_text("paused")
    expect(head.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.locator("#run-notes")).to_contain_text("It stands at step 100")


def test_the_page_ends_with_every_point_that_is_stored(opened: Open, attempt: Attempt) -> None:
    """Points come while the page loads: what falls between its reading and its stream is the usual gap."""
    address = reverse("run", args=[attempt.run.project.slug, attempt.run_id])
    page = opened("about:blank")
    page.goto(address, wait_until="commit")
    for step in range(101, 161):
        log_points(attempt.run, "train/loss", [step])
        page.wait_for_timeout(10)
    expect_points(page, 160)
    assert steps_on(page) == queries.raw(attempt.run_id, "train/loss").steps.tolist()


def test_a_page_opened_while_the_run_waits_comes_to_life(opened: Open, team: Team) -> None:
    waiting = scene.submit(team.project, user=team.people["editor"], name="soon")
    page = opened(reverse("run", args=[team.project.slug, waiting.pk]))
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#no-metrics")).to_be_visible()
    begun = scene.claim()
    assert begun is not None
    actions.started(begun, {}, {}, 0, 100)
    log_points(waiting, "train/loss", range(1, 11))
    expect_points(page, 10)
    expect(page.locator("#run-head .status")).to_have_text("running")
    expect(page.locator('[data-group="first"] > section').first).to_have_attribute("data-metric", "train/loss")
    page.get_by_label("x", exact=True).select_option("relative")
    log_points(waiting, "train/loss", [11])
    expect_points(page, 11)
