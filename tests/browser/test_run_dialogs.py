"""Editing and deleting a run happen in a dialog over its page."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.pages.team import Team
from tests.runs import scene
from webapp.runs.models import Run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def run(team: Team) -> Run:
    return scene.submit(team.project, user=team.people["editor"], name="misnamed")


def test_editing_can_be_left_and_taken_up_again(opened: Open, run: Run) -> None:
    page = opened(reverse("run", args=[run.project.slug, run.pk]))
    dialog = page.locator("#dialog")
    page.get_by_role("link", name="Edit", exact=True).click()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="Edit", exact=True).click()
    dialog.get_by_label("Name", exact=True).fill("well named")
    dialog.get_by_label("Tags").fill("night, lora")
    dialog.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("well named")
    run.refresh_from_db()
    assert run.tags == ["lora", "night"]


def test_deleting_asks_first(opened: Open, run: Run, complaints: list[str]) -> None:
    page = opened(reverse("run", args=[run.project.slug, run.pk]))
    page.locator("#run-head").get_by_role("link", name="Delete").click()
    expect(page.locator("#dialog")).to_contain_text("Delete misnamed?")
    page.locator("#dialog").get_by_role("link", name="Keep").click()
    expect(page.locator("#dialog")).to_be_hidden()
    page.locator("#run-head").get_by_role("link", name="Delete").click()
    page.locator("#dialog").get_by_role("button", name="Delete").click()
    page.wait_for_url(f"**{reverse('runs', args=[run.project.slug])}")
    run.refresh_from_db()
    assert run.deleted_at is not None
    complaints[:] = [text for text in complaints if "404" not in text]  # the page left behind read once more
