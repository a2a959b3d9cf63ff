"""The frame in a real browser: nothing blocked by the policy, theme, keys, dialogs, and life without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.pages.team import Team, make_team
from tests.runs import scene
from webapp.accounts import actions
from webapp.accounts.models import ApiToken
from webapp.runs.queries import queue_order

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]


@pytest.fixture
def people(transactional_db: None) -> Team:
    return make_team()


@pytest.fixture
def opened(chromium: Browser, live_server: LiveServer, people: Team) -> Iterator[Open]:
    """Opens an address as somebody; whatever the console complained about by the end fails the test."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def open_page(address: str, role: str = "owner", **options: object) -> Page:
        context = chromium.new_context(base_url=live_server.url, **options)  # type: ignore[arg-type]
        context.set_default_timeout(8000)
        cookie = people.client(role).cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        contexts.append(context)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_pages_load_without_a_complaint_and_fit_a_phone(opened: Open, people: Team) -> None:
    scene.running(
        where=people.project, user=people.people["owner"], name="a run with a rather long name, as people give"
    )
    scene.submit(people.project, user=people.people["owner"], name="next")
    page = opened(reverse("styleguide"), viewport={"width": 390, "height": 800})
    names = ["styleguide", "queue", "workers", "tokens", "account", "methods", "projects"]
    addresses = [*map(reverse, names), reverse("project-members", args=["code-models"])]
    for address in [*addresses, reverse("method", args=["adapters", "lora"])]:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address


def test_the_chosen_theme_stays_and_the_systems_is_the_default(opened: Open) -> None:
    page = opened(reverse("account"), color_scheme="dark")
    dark = background(page)
    page.get_by_role("main").get_by_role("button", name="Light").click()
    light = background(page)
    assert dark != light
    page.goto(reverse("queue"))
    assert background(page) == light
    page.evaluate("localStorage.clear()")
    page.reload()
    assert background(page) == dark


def test_keys_lead_through_the_pages(opened: Open, people: Team) -> None:
    runs = [scene.submit(people.project, user=people.people["owner"], name=name) for name in ("first", "second")]
    page = opened(reverse("workers"))
    page.keyboard.press("g")
    page.keyboard.press("q")
    page.wait_for_url(f"**{reverse('queue')}")
    for key in "jjk":
        page.keyboard.press(key)
    expect(page.locator("tr.cursor")).to_have_id(f"waiting-{runs[0].pk}")
    with page.expect_response(re.compile("/queue/$")):
        pass  # the next poll swaps the list
    expect(page.locator("tr.cursor")).to_have_id(f"waiting-{runs[0].pk}")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("gq?")
    expect(page.get_by_role("searchbox")).to_have_value("gq?")


def test_a_run_is_dragged_to_its_place(opened: Open, people: Team) -> None:
    owner = people.people["owner"]
    runs = [scene.submit(people.project, user=owner, name=name) for name in ("first", "second", "third")]
    page = opened(reverse("queue"), viewport={"width": 1400, "height": 800})
    start, goal = (page.locator(f"#waiting-{run.pk} td").nth(3).bounding_box() for run in (runs[2], runs[0]))
    assert start is not None
    assert goal is not None
    page.mouse.move(start["x"] + 5, start["y"] + 12)
    page.mouse.down()
    page.mouse.move(start["x"] + 8, start["y"] - 4, steps=4)
    page.mouse.move(goal["x"] + 5, goal["y"] + 4, steps=8)
    with page.expect_response(re.compile("/move/$")):
        page.mouse.up()
    expect(page.locator("tr[data-position='1'] .open")).to_have_text("third")
    assert queue_order("default")[0].pk == runs[2].pk


def test_a_token_is_revoked_in_a_dialog(opened: Open, people: Team) -> None:
    actions.create_token(people.people["owner"], "laptop")
    page = opened(reverse("tokens"))
    page.get_by_role("link", name="Revoke").click()
    dialog = page.locator("#dialog")
    dialog.get_by_role("link", name="Keep").click()
    expect(dialog).to_be_hidden()
    assert ApiToken.objects.count() == 1
    page.get_by_role("link", name="Revoke").click()
    dialog.get_by_role("button", name="Revoke").click()
    expect(page.locator("#toasts")).to_contain_text("laptop is revoked.")
    assert ApiToken.objects.count() == 0


def test_without_scripts_it_all_still_works(opened: Open, people: Team) -> None:
    owner = people.people["owner"]
    actions.create_token(owner, "laptop")
    runs = [scene.submit(people.project, user=owner, name=name) for name in ("first", "second")]
    page = opened(reverse("queue"), java_script_enabled=False, viewport={"width": 390, "height": 800})
    page.locator(f"#waiting-{runs[1].pk}").get_by_role("button", name="Move up").click()
    expect(page.locator("tr[data-position='1'] .open")).to_have_text("second")
    page.get_by_role("link", name="Open the menu").click()
    page.get_by_role("link", name="Access").click()
    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("main")).to_contain_text("laptop is revoked.")
    page.get_by_label("You: owner").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
