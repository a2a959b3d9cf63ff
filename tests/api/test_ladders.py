"""Ladders over REST: planned, queued, read, extended and deleted, with errors at the fields that were sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.world import World, post
from tests.scaling import ladders
from webapp.runs.models import Run
from webapp.scaling.models import Ladder

BODY = {"project": "alpha", **ladders.definition()}


def ask(world: World, path: str, body: Any = None, role: str = "owner") -> Any:
    return post(world.client(role), path, body if body is not None else b"")


def test_a_plan_tells_every_run_and_the_whole_cost_and_queues_nothing(world: World) -> None:
    told = ask(world, "/ladders/plan", BODY, "viewer").json()
    assert told["runs"] == len(told["rungs"]) == 12
    assert told["compute"] == pytest.approx(sum(6 * rung["N"] * rung["D"] for rung in told["rungs"]))
    assert [rung["is_held_out"] for rung in told["rungs"]] == [False] * 11 + [True]
    assert not Run.objects.exists() and not Ladder.objects.exists()


def test_creating_one_queues_what_was_planned(world: World) -> None:
    planned = ask(world, "/ladders/plan", BODY).json()
    reply = ask(world, "/ladders", {**BODY, "name": "small", "tags": ["tiny"]})
    assert reply.status_code == 201, reply.content
    told = reply.json()
    assert (told["name"], told["runs"], told["target_flops"]) == ("small", {"queued": 12}, 1e13)
    assert [(r["N"], r["D"], r["lr"]) for r in told["rungs"]] == [(r["N"], r["D"], r["lr"]) for r in planned["rungs"]]
    assert told["definition"]["law"]["name"] == "chinchilla" and told["fit"] is not None
    assert Run.objects.get(pk=told["rungs"][2]["run"]).tags == [f"ladder-{told['id']}", "rung-3", "tiny"]
    assert world.client("viewer").get(told["url"]).json() == told
    assert [item["id"] for item in world.client("viewer").get("/api/v1/ladders").json()["items"]] == [told["id"]]


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"target_flops": -1}, ["target_flops"]),
        ({"target_flops": "much"}, ["target_flops"]),
        ({"design": {"name": "isoflop", "sizes": 2}}, ["design", "sizes"]),
        ({"rates": "none"}, ["rates", "name"]),
        ({"base": {"kind": "finetune"}}, ["base", "kind"]),
        ({"law": {"name": "densing"}}, ["law"]),
        ({"holdout": 12}, ["holdout"]),
        ({"nonsense": 1}, ["nonsense"]),
    ],
)
def test_what_is_wrong_is_told_at_its_field(changes: dict[str, Any], loc: list[str], world: World) -> None:
    for path in ("/ladders/plan", "/ladders"):
        reply = ask(world, path, {**BODY, **changes})
        assert reply.status_code == 422, reply.content
        assert [error["loc"] for error in reply.json()["errors"]] == [loc]
    assert not Ladder.objects.exists()


def test_the_next_run_is_queued_by_its_place_in_the_list(world: World, tmp_path: Path) -> None:
    path = f"/ladders/{world.ladder.pk}/next"
    early = world.client("viewer").get(f"/api/v1{path}").json()
    assert early["choices"] == [] and "no fit yet" in early["reason"]
    refused = ask(world, path, {"choice": 1})
    assert refused.status_code == 422 and refused.json()["errors"][0]["loc"] == ["choice"]
    ladders.train_all(world.ladder)
    ladders.fit(world.ladder, tmp_path)
    told = world.client("viewer").get(f"/api/v1{path}").json()
    assert told["target"]["low"] < told["target"]["loss"] < told["target"]["high"] and "Linearised" in told["assumes"]
    first = told["choices"][0]
    reply = ask(world, path, {"choice": 1})
    assert reply.status_code == 201, reply.content
    rung = reply.json()
    assert (rung["number"], rung["status"], rung["N"], rung["D"]) == (13, "queued", first["N"], first["D"])
    assert ask(world, path, {}).status_code == 422
    assert ask(world, path, {"at": {"N": 5, "D": 100000}}).json()["errors"][0]["loc"] == ["at"]


def test_cancelling_says_how_many_and_a_deleted_one_is_not_found(world: World) -> None:
    assert ask(world, f"/ladders/{world.ladder.pk}/cancel").json() == {"cancelled": 12}
    assert post(world.client("owner"), f"/ladders/{world.ladder.pk}", b"", "DELETE").status_code == 204
    assert world.client("owner").get(f"/api/v1/ladders/{world.ladder.pk}").status_code == 404
    assert Run.objects.filter(deleted_at=None, status="cancelled").count() == 12
