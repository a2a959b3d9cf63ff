"""Making a schedule by hand: the times follow what is typed, in the reader's zone, and nothing typed is lost."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.pages.team import Team
from tests.pages.test_schedules import schedule_of
from tests.runs import scene
from webapp.runs.models import Run
from webapp.sweeps.models import Schedule

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BERLIN = {"timezone_id": "Europe/Berlin"}


@pytest.fixture
def address(team: Team) -> str:
    return reverse("schedule-new", args=[team.project.slug])


def test_a_schedule_is_made_from_a_run(opened: Open, team: Team, address: str) -> None:
    run = scene.submit(team.project, user=team.people["editor"], name="lora")
    page = opened(f"{address}?run={run.pk}", **BERLIN)
    expect(page.get_by_label("Name", exact=True)).to_have_value("lora")
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Berlin")
    expect(page.locator("#preview li")).to_have_count(5)
    page.get_by_label("Cron", exact=True).fill("45 6 * * MON-FRI")
    expect(page.locator("#preview")).to_contain_text("At 06:45, Monday through Friday")
    expect(page.locator("#preview li").first).to_contain_text(re.compile(r"(Mon|Tue|Wed|Thu|Fri) .*, 06:45"))
    page.get_by_role("button", name="Make the schedule").click()
    expect(page.locator("h1")).to_have_text("lora")
    expect(page.locator(".facts")).to_contain_text("At 06:45, Monday through Friday")
    schedule = Schedule.objects.get()
    assert (schedule.cron, schedule.timezone) == ("45 6 * * MON-FRI", "Europe/Berlin")
    assert schedule.action["run"]["spec"] == run.spec


def test_the_times_are_also_told_in_the_readers_zone(opened: Open, address: str) -> None:
    page = opened(address, timezone_id="Asia/Kolkata")
    page.get_by_label("Time zone").fill("UTC")
    page.get_by_label("Cron", exact=True).fill("0 2 * * *")
    expect(page.locator("#preview li").first).to_contain_text(re.compile(r", 02:00.*, 07:30 for you", re.DOTALL))


def test_the_fields_are_those_of_the_kind_that_is_chosen(opened: Open, address: str) -> None:
    page = opened(address)
    expect(page.get_by_label("Cron", exact=True)).to_be_visible()
    page.get_by_text("Every so often").click()
    expect(page.get_by_label("Cron", exact=True)).to_be_hidden()
    page.get_by_label("Every", exact=True).fill("90")
    page.get_by_label("Unit").select_option("minutes")
    expect(page.locator("#preview")).to_contain_text("Every 90 minutes")
    page.get_by_text("Once", exact=True).click()
    expect(page.locator("#preview")).to_contain_text("This needs a date and a time")
    page.get_by_label("Date and time").fill("2031-07-01T08:00")
    expect(page.locator("#preview li")).to_have_count(1)


def test_what_is_wrong_is_said_at_its_field_and_nothing_is_lost(opened: Open, address: str) -> None:
    page = opened(address)
    page.get_by_label("Name", exact=True).fill("never")
    page.get_by_label("Cron", exact=True).fill("0 0 31 2 *")
    expect(page.locator("#preview")).to_contain_text("would never fire")
    page.get_by_text("Write it as JSON").click()
    page.get_by_label("Action", exact=True).fill('{"run": {"spec": {"kind": "pretrain"}}}')
    page.get_by_role("button", name="Make the schedule").click()
    expect(page.locator(".for-cron .errorlist")).to_contain_text("would never fire")
    expect(page.get_by_label("Cron", exact=True)).to_be_focused()
    expect(page.get_by_label("Name", exact=True)).to_have_value("never")
    expect(page.get_by_label("Action", exact=True)).to_have_value('{"run": {"spec": {"kind": "pretrain"}}}')
    assert not Schedule.objects.exists()


def test_run_now_disable_and_delete(opened: Open, team: Team, complaints: list[str]) -> None:
    schedule = schedule_of(team)
    page = opened(reverse("schedule", args=[team.project.slug, schedule.pk]))
    page.get_by_role("button", name="Run now").click()
    expect(page.locator(".toast")).to_contain_text("is begun")
    expect(page.locator("#schedule tbody")).to_contain_text("by hand, editor")
    assert Run.objects.count() == 1
    page.get_by_role("button", name="Disable").click()
    expect(page.locator("#schedule .head")).to_contain_text("disabled")
    page.get_by_role("link", name="Delete").click()
    expect(page.locator("#dialog")).to_contain_text("Delete Nightly?")
    page.locator("#dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("main")).to_contain_text("No schedule yet")
    complaints[:] = [text for text in complaints if "404" not in text]  # the page left behind read once more


def test_the_list_switches_a_schedule_off_and_shows_what_happens_meanwhile(opened: Open, team: Team) -> None:
    from webapp.sweeps.scheduling import actions

    schedule = schedule_of(team)
    page = opened(reverse("schedules", args=[team.project.slug]), **BERLIN)
    expect(page.locator("tbody time[data-moment]")).to_have_text(re.compile(", 02:00$"))
    actions.run_now(schedule, team.people["editor"])
    expect(page.locator("tbody .status")).to_have_text("queued", timeout=20_000)
    page.get_by_role("switch", name="Nightly enabled").click()
    expect(page.get_by_role("switch", name="Nightly enabled")).to_have_attribute("aria-checked", "false")
    schedule.refresh_from_db()
    assert not schedule.enabled


def test_the_form_works_without_scripts_and_fits_a_phone(opened: Open, team: Team, address: str) -> None:
    run = scene.submit(team.project, user=team.people["editor"], name="lora")
    page = opened(f"{address}?run={run.pk}", java_script_enabled=False)
    page.get_by_role("button", name="Make the schedule").click()
    assert (Schedule.objects.get().timezone, Schedule.objects.get().cron) == ("UTC", "0 2 * * *")
    page = opened(address, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
