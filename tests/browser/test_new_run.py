"""The form of a new run: fields follow the choices, the plan follows the fields, nothing typed is lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.pages.team import Team
from tests.runs import scene
from webapp.runs.models import Run, Upload

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def address(team: Team) -> str:
    return reverse("run-new", args=[team.project.slug])


def plan(page: Page, term: str) -> str:
    return page.locator(f"#plan dt:text-is('{term}') + dd").inner_text()


def test_choosing_shows_the_fields_of_the_choice_and_keeps_the_rest(opened: Open, address: str) -> None:
    page = opened(address + "?kind=finetune")
    page.get_by_label("Steps", exact=True).fill("77")
    page.get_by_role("combobox", name="Method", exact=True).select_option("lora")
    page.get_by_label("Rank").fill("4")
    page.get_by_role("combobox", name="Schedule", exact=True).select_option("wsd")
    expect(page.get_by_label("Decay", exact=True)).to_be_visible()
    expect(page.get_by_label("Rank")).to_have_value("4")
    expect(page.get_by_label("Steps", exact=True)).to_have_value("77")


def test_the_plan_follows_what_is_typed(opened: Open, address: str) -> None:
    page = opened(address)
    expect(page.locator("#plan")).to_contain_text("Parameters")
    before = plan(page, "Tokens")
    page.get_by_label("Steps", exact=True).fill("10")
    expect(page.locator("#plan")).not_to_contain_text(before)
    assert plan(page, "Tokens") == "41k"  # 10 steps x 16 samples x 256 tokens = 40,960
    page.get_by_label("Batch size").fill("nonsense")
    expect(page.locator(".plan-errors")).to_contain_text("batch_size")


def test_a_wrong_value_is_said_at_its_field_and_nothing_is_lost(opened: Open, address: str) -> None:
    page = opened(address)
    page.get_by_label("Name", exact=True).last.fill("my run")
    page.get_by_label("Learning rate").fill("fast")
    page.get_by_role("button", name="Queue run").click()
    field = page.locator(".knob").filter(has=page.get_by_label("Learning rate"))
    expect(field.locator(".errors")).to_have_text(re.compile("valid number"))
    expect(page.get_by_label("Learning rate")).to_have_value("fast")
    expect(page.get_by_label("Learning rate")).to_be_focused()
    expect(page.get_by_label("Name", exact=True).last).to_have_value("my run")
    assert not Run.objects.exists()
    page.get_by_label("Learning rate").fill("3e-4")
    page.get_by_role("button", name="Queue run").click()
    expect(page.locator("h1")).to_have_text("my run")
    assert Run.objects.get().spec["optimizer"]["lr"] == 3e-4


def test_the_same_spec_as_json_and_back(opened: Open, address: str) -> None:
    page = opened(address)
    page.get_by_label("Steps", exact=True).fill("123")
    page.get_by_role("button", name="JSON", exact=True).click()
    text = page.get_by_label("Spec as JSON")
    expect(text).to_have_value(re.compile('"steps": 123'))
    text.fill(text.input_value().replace("123", "456"))
    page.get_by_role("button", name="Form", exact=True).click()
    expect(page.get_by_label("Steps", exact=True)).to_have_value("456")


def test_a_file_is_uploaded_and_chosen(opened: Open, address: str, tmp_path: Path) -> None:
    file = tmp_path / "poems.txt"
    file.write_text("roses are red\n" * 100)
    page = opened(address)
    page.get_by_role("combobox", name="Data", exact=True).select_option("upload")
    page.get_by_label("A new file").set_input_files(file)
    chosen = page.get_by_role("combobox", name=re.compile("^Upload"))
    expect(chosen.locator("option:checked")).to_have_text(re.compile("poems.txt"))
    assert Upload.objects.get().blob.size == file.stat().st_size


def test_a_copy_is_prefilled(opened: Open, team: Team, address: str) -> None:
    run = scene.submit(team.project, user=team.people["editor"], name="original", changes={"seed": 7})
    page = opened(reverse("run", args=[team.project.slug, run.pk]))
    page.get_by_role("link", name="Clone and edit").first.click()
    expect(page.get_by_label("Seed")).to_have_value("7")
    page.get_by_label("Seed").fill("8")
    page.get_by_role("button", name="Queue run").click()
    expect(page.locator(".toast")).to_be_visible()
    assert [item.spec["seed"] for item in Run.objects.order_by("id")] == [7, 8]


def test_the_form_works_without_scripts(opened: Open, address: str) -> None:
    page = opened(address + "?kind=finetune", java_script_enabled=False)
    page.get_by_role("combobox", name="Method", exact=True).select_option("lora")
    page.get_by_role("button", name="Show the fields of this method").click()
    page.get_by_label("Rank").fill("2")
    page.get_by_role("button", name="Queue run").click()
    assert Run.objects.get().spec["method"]["rank"] == 2


def test_the_form_fits_a_phone(opened: Open, address: str) -> None:
    page = opened(address, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
