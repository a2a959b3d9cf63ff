"""Runs through the API: submitted, listed page by page, changed, cloned, reported from outside."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from tests.api.world import World, post
from tests.runs import scene
from webapp.metrics import actions as metrics
from webapp.runs import actions
from webapp.runs.models import Attempt, Run

RUN_FIELDS = {
    "id", "project", "name", "kind", "status", "priority", "queue", "position", "tags", "baseline", "spec", "summary",
    "result", "error", "attempts", "created_at", "started_at", "ended_at", "url",
}  # fmt: skip
SUMMARY_FIELDS = {"last", "min", "max", "mean", "count", "last_step"}


def external(world: World, name: str, **metric_values: list[float]) -> Run:
    run = actions.create_external(project=world.project, user=world.owner, name=name)
    if metric_values:
        metrics.log_external(run, {name: {"value": values} for name, values in metric_values.items()})
    return run


def pages(client: Client, query: str, limit: int) -> list[list[dict[str, Any]]]:
    """Every page of a list, following `next`."""
    found, cursor = [], ""
    while True:
        page = client.get(f"/api/v1/runs?{query}&limit={limit}&cursor={cursor}").json()
        found.append(page["items"])
        if page["next"] is None:
            return found
        cursor = page["next"]


def test_a_submitted_run_is_told_in_full(world: World) -> None:
    body = {
        "project": "alpha", "spec": scene.SPEC, "name": "first", "tags": ["b", "a"], "priority": 3,
        "baseline": world.cancelled.pk,
    }  # fmt: skip
    response = post(world.client("editor"), "/runs", body)
    assert response.status_code == 201
    run = response.json()
    assert set(run) >= RUN_FIELDS
    told = {"project": "alpha", "name": "first", "kind": "pretrain", "status": "queued", "priority": 3, "position": 1,
            "queue": "default", "tags": ["a", "b"], "baseline": world.cancelled.pk, "summary": {}, "result": None,
            "error": None, "attempts": [], "started_at": None, "ended_at": None, "created_by": "editor"}  # fmt: skip
    assert {key: run[key] for key in told} == told
    assert run["spec"].items() >= {"kind": "pretrain", "steps": 100, "seed": 0}.items()
    assert run["url"] == f"http://testserver/p/alpha/runs/{run['id']}/"
    assert world.client("viewer").get(f"/api/v1/runs/{run['id']}").json() == run


def test_a_run_that_trains_tells_its_attempts(world: World) -> None:
    attempt = scene.running(where=world.project, user=world.owner)
    run = world.client("owner").get(f"/api/v1/runs/{attempt.run_id}").json()
    assert run["status"] == "running"
    assert run["position"] is None
    assert run["facts"] == {"parameters": {"total": 10, "trainable": 10}}
    (told,) = run["attempts"]
    assert (told["number"], told["worker"], told["status"]) == (1, "w", "running")


def test_positions_are_those_of_the_queue(world: World) -> None:
    first, second = (scene.submit(world.project, user=world.owner) for _ in range(2))
    urgent = scene.submit(world.project, user=world.owner, priority=5)
    listed = world.client("owner").get("/api/v1/runs?sort=id").json()["items"]
    assert {run["id"]: run["position"] for run in listed} == {urgent.pk: 1, first.pk: 2, second.pk: 3}
    moved = post(world.client("owner"), f"/runs/{second.pk}/move", {"position": 1}).json()
    assert moved["position"] == 1
    queue = world.client("viewer").get("/api/v1/queues/default").json()
    assert [(entry["run"], entry["position"]) for entry in queue["runs"]] == [
        (second.pk, 1), (urgent.pk, 2), (first.pk, 3),
    ]  # fmt: skip
    hidden = world.client("stranger").get("/api/v1/queues/default").json()
    assert (hidden["queued"], hidden["runs"]) == (3, [])


def test_pages_hold_every_run_once_even_when_runs_arrive_between(world: World) -> None:
    runs = [external(world, f"run {number}").pk for number in range(7)]
    client = world.client("viewer")
    first = client.get("/api/v1/runs?limit=3").json()
    external(world, "newcomer")
    second = client.get(f"/api/v1/runs?limit=3&cursor={first['next']}").json()
    third = client.get(f"/api/v1/runs?limit=3&cursor={second['next']}").json()
    assert [run["id"] for page in (first, second, third) for run in page["items"]] == runs[::-1]
    assert third["next"] is None


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_runs_are_sorted_by_a_metric_and_those_without_a_number_come_last(limit: int, world: World) -> None:
    best = external(world, "best", loss=[3.0, 1.0])
    worst = external(world, "worst", loss=[0.5, 2.0])
    same = external(world, "same", loss=[1.0])
    lost = external(world, "lost", loss=[float("nan")])
    none = external(world, "none", other=[0.0])
    rising = [run["id"] for page in pages(world.client("owner"), "sort=metric.loss", limit) for run in page]
    falling = [run["id"] for page in pages(world.client("owner"), "sort=-metric.loss", limit) for run in page]
    assert rising == [best.pk, same.pk, worst.pk, lost.pk, none.pk]
    assert falling == [worst.pk, same.pk, best.pk, none.pk, lost.pk]


def test_a_cursor_belongs_to_its_sort(world: World) -> None:
    external(world, "one"), external(world, "two")
    client = world.client("owner")
    cursor = client.get("/api/v1/runs?limit=1").json()["next"]
    for query in (f"sort=name&cursor={cursor}", f"cursor={cursor}x", "cursor=%7B%7D"):
        response = client.get(f"/api/v1/runs?{query}")
        assert response.status_code == 422
        assert response.json()["errors"][0]["loc"] == ["cursor"]


def test_filters_narrow_the_list_together(world: World) -> None:
    kept = post(world.client("owner"), "/runs", {"project": "alpha", "spec": scene.SPEC, "tags": ["keep"]}).json()
    actions.create_external(project=world.project, user=world.owner, name="outside", tags=["keep"])
    client = world.client("viewer")
    found = client.get("/api/v1/runs?project=alpha&tag=keep&kind=pretrain&status=waiting&q=pretrain").json()["items"]
    assert [run["id"] for run in found] == [kept["id"]]
    assert client.get("/api/v1/runs?status=nonsense").status_code == 422


def test_a_query_finds_runs_and_a_wrong_one_is_pointed_at(world: World) -> None:
    client = world.client("owner")
    external(world, "low", loss=[3.0, 1.0])
    external(world, "high", loss=[2.0, 4.0])
    for q, expected in (("metrics.loss > 3", ["high"]), ("metrics.loss.min <= 1 and kind = 'external'", ["low"])):
        for address in ("/api/v1/runs?", "/api/v1/series?name=loss&"):
            items = client.get(address + urlencode({"q": f"{q} and name != 'outside'"})).json()["items"]
            assert [item.get("name") if "id" in item else item["run_name"] for item in items] == expected
    for address in ("runs?", "series?name=loss&", "compare?"):
        refused = client.get(f"/api/v1/{address}" + urlencode({"q": "metrics.loss < now"}))
        assert refused.status_code == 422
        [error] = refused.json()["errors"]
        assert error["loc"] == ["q"]
        assert error["msg"].endswith(f"metrics.loss < now\n{' ' * 15}^")


def test_a_patch_changes_what_it_names_only(world: World) -> None:
    run = world.run
    response = post(world.client("editor"), f"/runs/{run.pk}", {"tags": ["x"], "priority": 2}, "PATCH")
    told = response.json()
    assert (told["name"], told["tags"], told["priority"]) == (run.name, ["x"], 2)
    cleared = post(world.client("editor"), f"/runs/{run.pk}", {"baseline": None, "tags": []}, "PATCH").json()
    assert (cleared["baseline"], cleared["tags"]) == (None, [])


def test_a_clone_changes_the_spec_level_by_level_and_nothing_when_refused(world: World) -> None:
    client = world.client("editor")
    changes = {"name": "copy", "spec": {"seed": 7, "optimizer": {"lr": 0.5}}, "tags": ["c"], "priority": 4}
    copy = post(client, f"/runs/{world.run.pk}/clone", changes).json()
    assert (copy["name"], copy["tags"], copy["priority"], copy["spec"]["seed"]) == ("copy", ["c"], 4, 7)
    assert copy["spec"]["optimizer"] == {**world.run.spec["optimizer"], "lr": 0.5}
    before = Run.objects.count()
    assert post(client, f"/runs/{world.run.pk}/clone", {"tags": ["x" * 61]}).status_code == 422
    assert post(client, f"/runs/{world.run.pk}/clone", {"spec": {"steps": 0}}).status_code == 422
    assert Run.objects.count() == before


def test_a_deleted_run_is_gone_everywhere(world: World) -> None:
    client = world.client("owner")
    assert client.delete(f"/api/v1/runs/{world.run.pk}").status_code == 204
    assert client.get(f"/api/v1/runs/{world.run.pk}").status_code == 404
    assert client.get("/api/v1/runs").json()["items"] == []


def test_an_outside_run_is_created_fed_and_finished(world: World) -> None:
    client = world.client("editor")
    run = post(client, "/runs", {"project": "alpha", "spec": {"kind": "external", "lr": 0.1}}).json()
    assert (run["kind"], run["status"], run["spec"]) == ("external", "running", {"kind": "external", "lr": 0.1})
    series = {"loss": {"step": [10, 20, 30], "value": [3.0, "NaN", 1.0], "time": [1.0, 2.0, 3.0]}}
    assert post(client, f"/runs/{run['id']}/metrics", {"series": series}).json() == {"points": 3}
    told = client.get(f"/api/v1/runs/{run['id']}").json()
    assert told["step"] == 30
    assert told["summary"]["loss"] == {"last": 1.0, "min": 1.0, "max": 3.0, "mean": 2.0, "count": 3, "last_step": 30}
    assert set(told["summary"]["loss"]) == SUMMARY_FIELDS
    ended = post(
        client, f"/runs/{run['id']}/finish", {"status": "failed", "result": {"f1": 0.5}, "error_message": "No."}
    )
    assert (ended.json()["status"], ended.json()["result"]) == ("failed", {"f1": 0.5})
    assert ended.json()["error"]["message"] == "No."
    assert ended.json()["ended_at"] is not None
    for again in (("/finish", {"status": "succeeded"}), ("/metrics", {"series": series})):
        assert post(client, f"/runs/{run['id']}{again[0]}", again[1]).status_code == 409


def test_only_outside_runs_take_points_and_an_end_from_outside(world: World) -> None:
    client = world.client("owner")
    points = post(client, f"/runs/{world.run.pk}/metrics", {"series": {"loss": {"value": [1]}}})
    finish = post(client, f"/runs/{world.run.pk}/finish", {"status": "succeeded"})
    assert (points.status_code, finish.status_code) == (409, 409)


def test_a_bad_batch_of_points_stores_none_of_them(world: World) -> None:
    series = {"loss": {"step": [3], "value": [1.0]}, "accuracy": {"step": [1, 2], "value": [1.0]}}
    response = post(world.client("owner"), f"/runs/{world.external.pk}/metrics", {"series": series})
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["series", "accuracy", "step"]
    found = world.client("owner").get(f"/api/v1/runs/{world.external.pk}/metrics").json()["items"]
    assert [(metric["name"], metric["count"]) for metric in found] == [("loss", 2)]


def test_a_page_of_runs_costs_a_fixed_number_of_queries(world: World, django_assert_max_num_queries: Any) -> None:
    client = world.client("owner")
    for number in range(12):
        external(world, f"run {number}", loss=[1.0])
    scene.running(where=world.project, user=world.owner)
    client.get("/api/v1/runs")
    with django_assert_max_num_queries(10):
        assert len(client.get("/api/v1/runs").json()["items"]) == 13


def moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_row_says_what_the_tables_hold_whatever_it_is(world: World) -> None:
    odd = 'a "quoted" \\ name of ünïcode 漢 \U0001f600'
    values = [math.nan, math.inf, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, -0.0]
    run = external(world, "first", **{odd: values, "plain": [2.0, 4.0]})
    at = datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC)
    Run.objects.filter(pk=run.pk).update(
        name=odd, tags=[odd, "b"], started_at=at, ended_at=at.replace(microsecond=0), error_message=odd + "\n\t\u2028",
        result={"list": [odd, None, 1e-7]}, facts={"parameters": {"total": 2**60}},
    )  # fmt: skip
    attempt = Attempt.objects.create(run=run, number=1, worker_name=odd, devices=[{"name": odd}])
    attempt.phases.create(name="train", step=2**40, at=at, peak_memory_bytes=2**41)
    (row,) = world.client("viewer").get("/api/v1/runs?status=final,active").json()["items"]
    assert (row["name"], row["tags"], row["result"]) == (odd, [odd, "b"], {"list": [odd, None, 1e-7]})
    assert row["error"] == {"type": "", "message": odd + "\n\t\u2028"}
    assert row["facts"] == {"parameters": {"total": 2**60}}
    assert (row["created_at"], row["started_at"]) == (moment(run.created_at), "2026-01-02T03:04:05.678Z")
    assert row["ended_at"] == "2026-01-02T03:04:05Z"
    told = row["summary"][odd]
    assert (told["last"], told["min"], told["max"]) == (-0.0, -0.0, values[3])
    assert row["summary"]["plain"] == {"last": 4.0, "min": 2.0, "max": 4.0, "mean": 3.0, "count": 2, "last_step": 1}
    (told,) = row["attempts"]
    assert (told["worker"], told["devices"], told["error"]) == (odd, [{"name": odd}], None)
    (phase,) = told["phases"]
    assert phase == {"name": "train", "step": 2**40, "at": row["started_at"], "peak_memory_bytes": 2**41}
    assert row == world.client("viewer").get(f"/api/v1/runs/{run.pk}").json()


def test_numbers_that_json_lacks_are_words(world: World) -> None:
    run = external(world, "odd", nan=[math.nan], inf=[math.inf], low=[1.0, -math.inf])
    (row,) = world.client("viewer").get("/api/v1/runs").json()["items"]
    last = {name: metric["last"] for name, metric in row["summary"].items()}
    assert (row["id"], last) == (run.pk, {"nan": "NaN", "inf": "Infinity", "low": "-Infinity"})
