from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.world import World, post
from tests.runs import scene
from tests.sweeps.scheduling.scene import SWEEP, Clock, end_runs, fire_due
from webapp.runs.models import Run
from webapp.sweeps.models import Schedule, Sweep

pytestmark = pytest.mark.django_db
BODY: dict[str, Any] = {
    "project": "alpha", "name": "Nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin",
    "action": {"run": {"spec": scene.SPEC, "name": "nightly"}},
}  # fmt: skip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(monkeypatch)
    clock.set(2026, 10, 23, 12)  # two days before the clocks go back
    return clock


def make(world: World, **changes: Any) -> Any:
    return post(world.client("editor"), "/schedules", BODY | changes)


def test_a_schedule_answers_with_its_next_five_times_in_its_zone(world: World, clock: Clock) -> None:
    response = make(world)
    body = response.json()
    assert response.status_code == 201
    assert body["next"] == [
        "2026-10-24T02:30:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
        "2026-10-27T02:30:00+01:00",
        "2026-10-28T02:30:00+01:00",
    ]
    schedule = Schedule.objects.get()
    told = {name: body[name] for name in ("id", "project", "name", "cron", "interval_s", "at", "timezone", "when")}
    assert told == {
        "id": schedule.pk, "project": "alpha", "name": "Nightly", "cron": "30 2 * * *", "interval_s": None, "at": None,
        "timezone": "Europe/Berlin", "when": "At 02:30",
    }  # fmt: skip
    assert (body["missed"], body["overlap"], body["enabled"], body["notice"]) == ("skip", False, True, "")
    assert (body["action"], body["last"], body["created_by"]) == (BODY["action"], None, "editor")
    assert body["url"] == f"http://testserver/p/alpha/schedules/{schedule.pk}/"


def test_an_interval_and_a_single_time(world: World, clock: Clock) -> None:
    every = make(world, cron="", interval_s=300, timezone="UTC").json()
    assert every["next"][:2] == ["2026-10-23T12:05:00Z", "2026-10-23T12:10:00Z"]
    once = make(world, cron="", at="2026-12-01T08:00:00+01:00").json()
    assert (once["at"], once["next"]) == ("2026-12-01T08:00:00+01:00", ["2026-12-01T08:00:00+01:00"])


def test_the_last_firing_and_the_history(world: World, clock: Clock) -> None:
    schedule = make(world, overlap=True).json()["id"]
    for _ in range(3):
        clock.move(days=1)
        fire_due()
    client = world.client("viewer")
    last = client.get(f"/api/v1/schedules/{schedule}").json()["last"]
    assert (last["outcome"], last["due_at"]) == ("missed", "2026-10-26T01:30:00Z")  # ticked at noon: hours late
    first = client.get(f"/api/v1/schedules/{schedule}/firings?limit=2").json()
    assert [one["due_at"] for one in first["items"]] == ["2026-10-26T01:30:00Z", "2026-10-25T00:30:00Z"]
    rest = client.get(f"/api/v1/schedules/{schedule}/firings?cursor={first['next']}").json()
    assert ([one["due_at"] for one in rest["items"]], rest["next"]) == (["2026-10-24T00:30:00Z"], None)


def test_running_one_by_hand(world: World, clock: Clock) -> None:
    schedule = make(world).json()["id"]
    firing = post(world.client("editor"), f"/schedules/{schedule}/run", b"")
    assert firing.status_code == 201
    assert (firing.json()["outcome"], firing.json()["by"]) == ("queued", "editor")
    assert firing.json()["run"] == Run.objects.get().pk
    again = post(world.client("editor"), f"/schedules/{schedule}/run", b"")
    assert (again.status_code, again.json()["detail"]) == (
        409, f"Run {Run.objects.get().pk}, which it began before, is not over (queued)."
    )  # fmt: skip
    end_runs()
    clock.move(seconds=1)
    assert post(world.client("editor"), f"/schedules/{schedule}/run", b"").status_code == 201


def test_a_sweep_by_schedule(world: World, clock: Clock) -> None:
    schedule = make(world, action=SWEEP).json()["id"]
    firing = post(world.client("editor"), f"/schedules/{schedule}/run", b"").json()
    assert (firing["sweep"], firing["run"]) == (Sweep.objects.get().pk, None)
    assert Sweep.objects.get().schedule_id == schedule


def test_changing_one(world: World, clock: Clock) -> None:
    path = f"/schedules/{make(world).json()['id']}"

    def patch(**changes: Any) -> Any:
        return post(world.client("owner"), path, changes, "PATCH").json()

    assert patch(enabled=False)["next"] == []
    changed = patch(interval_s=3600, enabled=True)
    assert (changed["cron"], changed["interval_s"], changed["next"][0]) == ("", 3600, "2026-10-23T15:00:00+02:00")
    assert (changed["created_by"], patch(name="Hourly")["name"]) == ("editor", "Hourly")
    assert patch(action=SWEEP)["created_by"] == "owner"
    assert patch(name=None, cron=None)["name"] == "Hourly"


def test_deleting_one(world: World, clock: Clock) -> None:
    schedule = make(world).json()["id"]
    client = world.client("editor")
    assert client.delete(f"/api/v1/schedules/{schedule}").status_code == 204
    assert client.get(f"/api/v1/schedules/{schedule}").status_code == 404
    assert client.get("/api/v1/schedules").json()["items"] == []


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"cron": "0 0 31 2 *"}, ["cron"]),
        ({"cron": "0 0 8 * * *"}, ["cron"]),
        ({"cron": "", "interval_s": 59}, ["interval_s"]),
        ({"interval_s": 300}, ["cron"]),
        ({"cron": "", "at": "2026-12-01T08:00:00"}, ["at"]),
        ({"cron": "", "at": "2020-12-01T08:00:00Z"}, ["at"]),
        ({"timezone": "Mars/Olympus"}, ["timezone"]),
        ({"missed": "twice"}, ["missed"]),
        ({"name": ""}, ["name"]),
        ({"action": {}}, ["action"]),
        ({"action": {"run": {"spec": {**scene.SPEC, "steps": "many"}}}}, ["action", "run", "spec", "steps"]),
        ({"action": {"sweep": {**SWEEP["sweep"], "trials": -1}}}, ["action", "sweep", "trials"]),
        ({"every": "day"}, ["every"]),
        ({"action": {"run": {"spec": {"steps": float("inf")}}}}, ["action", "run", "spec", "steps"]),
    ],
)
def test_what_breaks_a_rule_is_told_at_its_field(world: World, clock: Clock, changes: Any, loc: list[str]) -> None:
    response = make(world, **changes)
    assert response.status_code == 422, response.content
    assert loc in [error["loc"] for error in response.json()["errors"]]
    assert all(error["msg"].endswith(".") for error in response.json()["errors"])
    assert not Schedule.objects.exists()


def test_the_list_has_pages_and_a_fixed_cost(world: World, clock: Clock, django_assert_max_num_queries: Any) -> None:
    made = [make(world, name=f"number {number}").json()["id"] for number in range(5)]
    client = world.client("viewer")
    with django_assert_max_num_queries(8):
        first = client.get("/api/v1/schedules?project=alpha&limit=3").json()
    assert [one["id"] for one in first["items"]] == made[:1:-1]
    rest = client.get(f"/api/v1/schedules?cursor={first['next']}").json()
    assert ([one["id"] for one in rest["items"]], rest["next"]) == (made[1::-1], None)
    assert client.get("/api/v1/schedules?cursor=x").status_code == 422
    assert world.client("stranger").get("/api/v1/schedules").json()["items"] == []


def test_a_schedule_that_lost_its_owner_says_so(world: World, clock: Clock) -> None:
    schedule = make(world).json()["id"]
    world.owner.is_active = False
    world.owner.save()
    clock.now = datetime(2026, 10, 24, 0, 30, tzinfo=UTC) + timedelta(seconds=2)
    fire_due()
    body = world.client("viewer").get(f"/api/v1/schedules/{schedule}").json()
    assert not body["enabled"]
    assert (
        body["notice"]
        == body["last"]["message"]
        == ("Alpha has no active owner any more. Give it one, then enable the schedule again.")
    )
