"""`hone schedule`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.world import World
from tests.hone.conftest import Hone
from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.runs.models import Run
from webapp.sweeps.models import Schedule, Sweep

pytestmark = pytest.mark.django_db(transaction=True)
NIGHTLY = ("--project", "alpha", "--name", "nightly", "--cron", "0 2 * * *", "--timezone", "Europe/Berlin")


@pytest.fixture
def action(tmp_path: Path) -> Path:
    path = tmp_path / "action.json"
    path.write_text(json.dumps({"run": {"spec": runs.SPEC}}))
    return path


def test_a_schedule_is_created_listed_and_shown(hone: Hone, live_world: World, action: Path) -> None:
    said = hone("schedule", "create", action, *NIGHTLY, "--missed", "once")
    assert said.status == 0, said.err
    schedule = Schedule.objects.get()
    assert (schedule.cron, schedule.timezone, schedule.missed, schedule.overlap) == (
        "0 2 * * *", "Europe/Berlin", "once", False,
    )  # fmt: skip
    told = hone("schedule", "show", schedule.pk, "--json", role="viewer").json
    listed = hone("schedule", "list", role="viewer").lines[1]
    assert listed.split()[:4] == [str(schedule.pk), "enabled", "alpha", "nightly"] and told["when"] in listed
    assert len(told["next"]) == 5


def test_a_whole_body_in_a_file_is_taken_as_it_is(hone: Hone, live_world: World, tmp_path: Path) -> None:
    file = tmp_path / "schedule.yaml"
    body = {"project": "alpha", "name": "often", "interval_s": 600, "action": {"sweep": scene.definition()}}
    file.write_text(json.dumps(body))  # JSON is YAML
    assert hone("schedule", "create", file, "--overlap").status == 0
    schedule = Schedule.objects.get()
    assert (schedule.interval_s, schedule.overlap, list(schedule.action)) == (600, True, ["sweep"])


def test_a_schedule_is_run_now_disabled_enabled_and_deleted(hone: Hone, live_world: World, action: Path) -> None:
    number = hone("schedule", "create", action, *NIGHTLY, "--json").json["id"]
    begun = hone("schedule", "run", number)
    assert begun.out == f"It began run {Run.objects.get().pk}.\n"
    assert "queued" in hone("schedule", "show", number).out
    for word, enabled in (("disable", False), ("enable", True)):
        assert hone("schedule", word, number, "--json").json["enabled"] is enabled
    assert hone("schedule", "delete", number).status == 0
    assert "no schedule" in hone("schedule", "show", number).err


def test_a_scheduled_sweep_is_begun_by_hand(hone: Hone, live_world: World, tmp_path: Path) -> None:
    file = tmp_path / "action.json"
    file.write_text(json.dumps({"sweep": scene.definition()}))
    number = hone("schedule", "create", file, *NIGHTLY, "--json").json["id"]
    assert hone("schedule", "run", number).out == f"It began sweep {Sweep.objects.get().pk}.\n"


def test_what_creates_a_sweep_or_a_run_also_schedules_it(hone: Hone, live_world: World, tmp_path: Path) -> None:
    bodies = {"sweep": {"project": "alpha", "name": "a sweep", **scene.definition()}, "run": runs.SPEC}
    for kind, body in bodies.items():
        file = tmp_path / f"{kind}.json"
        file.write_text(json.dumps(body))
        said = hone("schedule", "create", file, *NIGHTLY[:2], "--name", kind, "--every", 600, "--json")
        assert said.status == 0, said.err
        assert list(said.json["action"]) == [kind]


def test_what_is_missing_or_wrong_is_said_in_a_sentence(hone: Hone, live_world: World, action: Path) -> None:
    assert "--project" in hone("schedule", "create", action, "--name", "x", "--cron", "0 2 * * *").err
    assert "--name" in hone("schedule", "create", action, "--project", "alpha").err
    said = hone("schedule", "create", action, "--project", "alpha", "--name", "x", "--cron", "every day")
    assert said.status == 1 and "cron" in said.err
    assert hone("schedule", "create", action, *NIGHTLY, role="viewer").status == 1
    assert not Schedule.objects.exists()
