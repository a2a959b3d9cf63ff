"""The compare page in a real browser under the real policy: charts in both themes, files, keys, and a phone."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.browser.conftest import Open
from tests.pages.team import Team
from tests.sweeps.comparison import scene

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_measure_is_drawn_in_the_colours_of_the_theme(opened: Open, team: Team, theme: str) -> None:
    study = scene.study(team.project, team.people["editor"])
    address = f"{reverse('compare')}?runs={study.numbers}&x=all"
    page = opened(address, role="viewer", color_scheme=theme, viewport={"width": 1280, "height": 900})
    page.set_default_timeout(30_000)
    for name in ("trainable_share", "trainable", "flops"):
        page.locator(f"#chart-{name}").scroll_into_view_if_needed()
        page.wait_for_selector(f"#chart-{name} .main-svg .point")
    chart = page.locator("#chart-trainable")
    assert chart.locator(".annotation-text").all_text_contents().count("lora rank 2") == 1
    accent = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--accent').trim()")
    drawn = chart.locator(".point").evaluate_all("points => points.map(point => getComputedStyle(point).fill)")
    assert rgb(accent) in drawn
    with page.expect_download() as download:
        chart.hover()
        chart.get_by_role("button", name="SVG").click()
    assert download.value.suggested_filename == "chart-trainable.svg"
    with page.expect_download() as download:
        chart.get_by_role("button", name="PNG").click()
    assert download.value.path().read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def rgb(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgb({red}, {green}, {blue})"


def test_ticked_runs_are_compared_by_a_key_and_the_table_is_sorted_by_keyboard(opened: Open, team: Team) -> None:
    study = scene.study(team.project, team.people["editor"])
    page = opened(reverse("runs", args=[team.project.slug]))
    for run in (study.full[0], study.small[0]):
        page.check(f'input[name="run"][value="{run.pk}"]')
    page.locator("h1").click()
    page.keyboard.press("c")
    page.wait_for_url("**/compare/?runs=*")
    head = page.get_by_role("columnheader", name="Time").get_by_role("link")
    head.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**sort=wall_time_s*")
    assert page.locator("tbody th").all_inner_texts() == ["lora", "full"]


def test_the_address_is_made_by_the_form_and_nothing_overflows_a_phone(opened: Open, team: Team) -> None:
    study = scene.study(team.project, team.people["editor"])
    page = opened(f"{reverse('compare')}?runs={study.numbers}", viewport={"width": 390, "height": 844})
    page.select_option("#compare-baseline", label="lora rank 4")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(f"**baseline={study.large[0].pk}*")
    assert page.locator("tr.baseline th").inner_text() == "lora rank 4"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
