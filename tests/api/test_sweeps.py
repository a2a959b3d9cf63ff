"""Sweeps through the API: started, listed page by page, changed, controlled, told in full."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.test_errors import refused
from tests.api.world import World, post
from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.api.schemas.sweeps import SWEEP_EXAMPLE
from webapp.runs.models import Run
from webapp.sweeps import winners
from webapp.sweeps.models import Sweep

FIELDS = {
    "id", "project", "name", "status", "counts", "best", "trials_url", "spent", "forecast", "spec", "search",
    "objective", "stopper", "trials", "seeds", "concurrency", "budget", "created_at", "ended_at", "end_reason", "url",
}  # fmt: skip


def body(**changes: Any) -> dict[str, Any]:
    return {"project": "alpha", "name": "first", **scene.definition(**changes)}


def loss(run: Run) -> float:
    """Best at a learning rate of 1e-3, a little worse with every seed."""
    return abs(run.spec["optimizer"]["lr"] - 1e-3) + 0.001 * (run.spec["seed"] % 10)


def finished(world: World, **changes: Any) -> Sweep:
    return scene.finish(scene.create(project=world.project, user=world.owner, **changes), loss)


def test_a_started_sweep_is_told_in_full(world: World) -> None:
    response = post(world.client("editor"), "/sweeps", {**body(), "tags": ["b", "a"], "priority": 2, "queue": "gpu"})
    assert response.status_code == 201, response.content
    sweep = response.json()
    assert set(sweep) >= FIELDS
    told = {"project": "alpha", "name": "first", "status": "running", "best": None, "tags": ["a", "b"], "priority": 2,
            "queue": "gpu", "trials": 4, "concurrency": 2, "stopper": None, "created_by": "editor", "end_reason": "",
            "ended_at": None, "revision": 1, "schedule": None, "protocol": None}  # fmt: skip
    assert {key: sweep[key] for key in told} == told
    assert sweep["counts"]["total"] == sweep["counts"]["queued"] == sweep["counts"]["succeeded"] == 0
    assert sweep["objective"] == [{"metric": "eval/loss", "goal": "minimize", "statistic": "last"}]
    assert sweep["search"]["sampler"]["name"] == "random"
    assert sweep["seeds"]["tune"] == 1
    assert sweep["url"] == f"http://testserver/p/alpha/sweeps/{sweep['id']}/"
    assert sweep["trials_url"] == f"http://testserver/api/v1/sweeps/{sweep['id']}/trials"
    read = world.client("viewer").get(f"/api/v1/sweeps/{sweep['id']}").json()
    assert {**read, "spent": None} == {**sweep, "spent": None}  # wall-clock hours go on


def test_the_example_of_the_description_is_accepted_as_it_stands(world: World) -> None:
    base = runs.claimed(where=world.project, user=world.owner).run
    example = {**SWEEP_EXAMPLE, "project": "alpha"}
    example["spec"] = {**example["spec"], "model": {"source": "run", "run": base.pk}}
    response = post(world.client("editor"), "/sweeps", example)
    assert response.status_code == 201, response.content
    sweep = response.json()
    assert sweep["search"]["sampler"]["name"] == "tpe"
    assert sweep["stopper"]["name"] == "asha"
    assert sweep["seeds"]["test"] == 3


def test_the_best_trial_comes_with_its_interval_over_the_seeds_and_its_test(world: World) -> None:
    sweep = finished(world, trials=3, seeds={"tune": 2, "test": 2})
    told = world.client("viewer").get(f"/api/v1/sweeps/{sweep.pk}").json()
    assert told["status"] == "succeeded"
    assert told["end_reason"]
    assert told["counts"]["succeeded"] == told["counts"]["total"] == 3
    expected = winners.best(sweep)
    assert expected is not None and expected.intervals[0] is not None and expected.test is not None
    best = told["best"]
    assert (best["trial"], best["params"]) == (expected.trial, expected.params)
    assert best["value"] == best["values"][0] == pytest.approx(abs(best["params"]["optimizer.lr"] - 1e-3) + 0.0005)
    assert best["interval"] == best["intervals"][0] == dict(expected.intervals[0]._asdict())
    assert best["interval"]["n"] == 2
    assert [interval["n"] for interval in best["test"]] == [2]
    assert told["spent"]["runs"] == 8
    assert told["forecast"]["runs_left"] == 0


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_a_list_names_the_same_best_trials_as_the_sweeps_themselves(goal: str, world: World) -> None:
    sweeps = [finished(world, trials=3, objective={"metric": "eval/loss", "goal": goal}, seeds=2) for _ in range(2)]
    fresh = scene.create(project=world.project, user=world.owner)
    assert winners.best_of([*sweeps, fresh]) == {sweep.pk: winners.best(sweep) for sweep in [*sweeps, fresh]}
    client = world.client("viewer")
    listed = {item["id"]: item for item in client.get("/api/v1/sweeps").json()["items"]}
    for sweep in sweeps:
        alone = client.get(f"/api/v1/sweeps/{sweep.pk}").json()
        told = listed[sweep.pk]
        assert alone["spent"] == pytest.approx(told.pop("spent"))  # the database adds its rows up in any order
        assert {key: alone[key] for key in told} == told
        assert alone["best"]["interval"]["n"] == 2


def test_pages_hold_every_sweep_once_even_when_sweeps_arrive_between(world: World) -> None:
    made = [scene.create(project=world.project, user=world.owner).pk for _ in range(5)]
    client = world.client("viewer")
    first = client.get("/api/v1/sweeps?limit=2").json()
    scene.create(project=world.project, user=world.owner)
    second = client.get(f"/api/v1/sweeps?limit=2&cursor={first['next']}").json()
    third = client.get(f"/api/v1/sweeps?limit=2&cursor={second['next']}").json()
    assert [sweep["id"] for page in (first, second, third) for sweep in page["items"]] == made[::-1]
    assert third["next"] is None


def test_filters_narrow_the_list_together(world: World) -> None:
    kept = scene.create(project=world.project, user=world.owner, name="rank and rate", tags=["lora"])
    scene.create(project=world.project, user=world.owner, name="other", tags=["lora"])
    client = world.client("owner")
    assert post(client, f"/sweeps/{kept.pk}/pause", b"").status_code == 200
    found = client.get("/api/v1/sweeps?project=alpha&status=paused&q=RANK lora").json()["items"]
    assert [sweep["id"] for sweep in found] == [kept.pk]
    assert [sweep["id"] for sweep in client.get(f"/api/v1/sweeps?q={kept.pk}&status=live").json()["items"]] == [kept.pk]
    assert client.get("/api/v1/sweeps?status=over").json()["items"] == []
    assert "live" in refused(client.get("/api/v1/sweeps?status=nonsense"), 422, "status")


def test_a_page_of_sweeps_costs_a_fixed_number_of_queries(world: World) -> None:
    client = world.client("owner")

    def cost() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get("/api/v1/sweeps").status_code == 200
        return len(captured)

    finished(world, trials=1)
    client.get("/api/v1/sweeps")
    one = cost()
    for trials in (2, 3):
        finished(world, trials=trials, seeds=2)
    assert cost() == one <= 12


def test_a_patch_changes_what_it_names_only(world: World) -> None:
    before = world.client("editor").get(f"/api/v1/sweeps/{world.sweep.pk}").json()
    space = {"optimizer.lr": {"low": 1e-4, "high": 1e-3, "log": True}}
    changes = {"search": {"space": space}, "concurrency": 5, "name": "narrower"}
    response = post(world.client("editor"), f"/sweeps/{world.sweep.pk}", changes, "PATCH")
    assert response.status_code == 200, response.content
    after = response.json()
    assert list(after["search"]["space"]) == ["optimizer.lr"]
    assert after["search"]["sampler"] == before["search"]["sampler"]
    assert (after["concurrency"], after["name"], after["revision"]) == (5, "narrower", 2)
    for same in ("trials", "seeds", "objective", "budget", "spec", "tags", "stopper"):
        assert after[same] == before[same]


def test_a_stopper_is_removed_with_null(world: World) -> None:
    sweep = scene.create(project=world.project, user=world.owner, stopper={"name": "asha", "min_steps": 20})
    after = post(world.client("editor"), f"/sweeps/{sweep.pk}", {"stopper": None}, "PATCH").json()
    assert after["stopper"] is None


def test_a_sweep_is_paused_resumed_stopped_and_extended(world: World) -> None:
    client, at = world.client("editor"), f"/sweeps/{world.sweep.pk}"
    assert post(client, f"{at}/pause", b"").json()["status"] == "paused"
    assert "can't be paused" in refused(post(client, f"{at}/pause", b""), 409)
    assert post(client, f"{at}/resume", b"").json()["status"] == "running"
    stopped = post(client, f"{at}/stop", b"").json()
    assert (stopped["status"], bool(stopped["ended_at"])) == ("stopped", True)
    extended = post(client, f"{at}/extend", {"trials": 3, "budget": {"gpu_hours": 2}}).json()
    assert (extended["status"], extended["budget"]["gpu_hours"]) == ("running", 2)
    assert extended["trials"] == extended["counts"]["total"] + 3
    refused(post(client, f"{at}/extend", {"trials": 0}), 422, "trials")
    refused(post(client, f"{at}/extend", {}), 422, "trials")


def test_failed_trials_are_requeued(world: World) -> None:
    (run, *_) = scene.waiting(world.sweep)
    scene.break_down(run)
    scene.advanced(world.sweep)
    client, at = world.client("editor"), f"/api/v1/sweeps/{world.sweep.pk}"
    assert client.get(at).json()["counts"]["failed"] == 1
    assert post(client, f"/sweeps/{world.sweep.pk}/requeue-failed", b"").json() == {"requeued": 1}
    assert client.get(at).json()["counts"]["failed"] == 0


def test_events_tell_in_order_who_did_what(world: World) -> None:
    post(world.client("editor"), f"/sweeps/{world.sweep.pk}/pause", b"")
    client, at = world.client("viewer"), f"/api/v1/sweeps/{world.sweep.pk}/events"
    told = client.get(at).json()
    assert told["items"][0]["by"] == "owner" and told["items"][-1]["by"] == "editor"
    assert [item["at"] for item in told["items"]] == sorted(item["at"] for item in told["items"])
    assert client.get(f"{at}?cursor={told['next']}").json() == {"items": [], "next": told["next"]}
    post(world.client("editor"), f"/sweeps/{world.sweep.pk}/resume", b"")
    assert len(client.get(f"{at}?cursor={told['next']}").json()["items"]) == 1
    for cursor in ("x", "9" * 30, "-1"):
        refused(client.get(f"{at}?cursor={cursor}"), 422, "cursor")


def test_a_deleted_sweep_is_gone_and_its_runs_are_not(world: World) -> None:
    client = world.client("editor")
    assert client.delete(f"/api/v1/sweeps/{world.sweep.pk}").status_code == 204
    refused(client.get(f"/api/v1/sweeps/{world.sweep.pk}"), 404)
    assert client.get("/api/v1/sweeps").json()["items"] == []
    assert {run["status"] for run in client.get("/api/v1/runs").json()["items"]} == {"cancelled"}


@pytest.mark.parametrize("number", [0, 2**31, 2**63, 10**30])
def test_a_number_that_is_no_sweep_or_trial_is_not_found(number: int, world: World) -> None:
    client = world.client("owner")
    refused(client.get(f"/api/v1/sweeps/{number}"), 404)
    refused(client.get(f"/api/v1/sweeps/{world.sweep.pk}/trials/{number}"), 404)


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"trials": 0}, ["trials"]),
        ({"search": {"sampler": "magic", "space": scene.SPACE}}, ["search", "sampler", "name"]),
        ({"search": {"sampler": "random", "space": {"optimizer.lr": {"low": 2, "high": 1}}}},
         ["search", "space", "optimizer.lr"]),
        ({"search": {"sampler": "random", "space": {"optimizer.lr": {"low": -1.0, "high": 1.0}}}},
         ["search", "space", "optimizer.lr"]),
        ({"search": {"sampler": "random", "space": scene.SPACE, "constraints": ["optimizer.lr < "]}},
         ["search", "constraints", 0]),
        ({"stopper": {"name": "asha", "min_steps": 0}}, ["stopper", "min_steps"]),
        ({"objective": {"metric": "eval/loss", "goal": "up"}}, ["objective", "goal"]),
        ({"seeds": {"tune": 0}}, ["seeds", "tune"]),
        ({"budget": {"gpu_hours": -1}}, ["budget", "gpu_hours"]),
        ({"budget": {"deadline": "2026-12-01T00:00:00"}}, ["budget", "deadline"]),
        ({"spec": {**runs.SPEC, "steps": 0}}, ["spec", "steps"]),
        ({"prioritty": 1}, ["prioritty"]),
    ],
)  # fmt: skip
def test_bad_input_is_told_at_its_place_and_nothing_is_written(
    change: dict[str, Any], loc: list[Any], world: World
) -> None:
    client = world.client("editor")
    refused(post(client, "/sweeps", {**body(), **change}), 422, *loc)
    refused(post(client, "/sweeps/plan", {**body(), **change}), 422, *loc)
    assert not Sweep.objects.exists()


def test_numbers_must_be_finite(world: World) -> None:
    text = b'{"project": "alpha", "spec": {}, "search": {"space": {"a": {"low": NaN, "high": 1}}}, "objective": {}}'
    assert "finite" in refused(post(world.client("editor"), "/sweeps", text), 422, "search", "space", "a", "low")
