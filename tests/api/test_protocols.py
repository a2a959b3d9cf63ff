"""Protocols over REST: listed with their knobs, planned, started, and analysed over all sweeps of a study."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.world import World, post
from tests.runs import scene
from tests.sweeps import scene as sweeps
from webapp.runs.models import Run
from webapp.sweeps.models import Sweep

KNOBS = {"low": 1e-3, "high": 1e-1, "points": 3, "sizes": ["1x16", "1x32"], "track": []}
BODY = {"knobs": KNOBS, "spec": {**scene.SPEC, "steps": 100}}


def ask(world: World, path: str, body: Any, role: str = "owner") -> Any:
    return post(world.client(role), path, body)


def test_the_list_tells_each_protocol_with_its_knobs_and_why_one_is_missing(world: World) -> None:
    items = {item["name"]: item for item in world.client("viewer").get("/api/v1/protocols").json()["items"]}
    assert len(items) >= 15
    found = items["lr_sensitivity"]
    assert found["available"] and found["title"] == "LR sensitivity"
    assert found["paper"] == "https://arxiv.org/abs/2309.14322"
    assert found["knobs"]["properties"]["points"]["default"] == 7
    from gpu_jobs import registry

    assert items["merge_grid"]["available"] == ("merge" in registry.kinds())
    assert bool(items["merge_grid"]["unavailable"]) != items["merge_grid"]["available"]


def test_a_plan_writes_nothing_and_counts_trials_and_runs(world: World) -> None:
    body = {**BODY, "knobs": {**KNOBS, "seeds": 2}}
    reply = ask(world, "/protocols/lr_sensitivity/plan", body, "viewer")
    assert reply.status_code == 200, reply.content
    told = reply.json()
    assert (len(told["sweeps"]), told["trials"], told["runs"]) == (2, 6, 12)
    assert told["sweeps"][0]["labels"] == {"size": "1x16"}
    assert told["sweeps"][0]["definition"]["seeds"]["tune"] == 2
    assert not Sweep.objects.exists()


def test_starting_makes_all_its_sweeps_and_keeps_what_they_share(world: World) -> None:
    reply = ask(world, "/protocols/lr_sensitivity", {**BODY, "project": "alpha", "name": "sizes", "tags": ["lr"]})
    assert reply.status_code == 201, reply.content
    told = reply.json()
    made = list(Sweep.objects.order_by("id"))
    assert [one["id"] for one in told["sweeps"]] == [sweep.pk for sweep in made]
    assert {sweep.protocol["group"] for sweep in made} == {told["group"]}
    assert [sweep.protocol["study"] for sweep in made] == [1, 2]
    assert made[0].name == "sizes: LR sensitivity 1x16" and made[0].tags == ["lr"]
    sweep_url = told["sweeps"][0]["url"]
    assert world.client("viewer").get(sweep_url).json()["id"] == made[0].pk


def test_the_analysis_is_over_all_sweeps_of_the_study(world: World) -> None:
    told = ask(world, "/protocols/lr_sensitivity", {**BODY, "project": "alpha"}).json()
    for sweep in Sweep.objects.order_by("id"):
        train_all(sweep)
    for one in told["sweeps"]:
        reply = world.client("viewer").get(f"/api/v1/sweeps/{one['id']}/protocol")
        assert reply.status_code == 200, reply.content
        result = reply.json()["result"]
        assert [curve["size"] for curve in result["curves"]] == ["1x16", "1x32"]
        assert result["outcomes"]["succeeded"] == 6
        # of 1e-3, 1e-2 and 1e-1 the loss is 2, 1 and 2
        assert [curve["best_lr"] for curve in result["curves"]] == [0.01, 0.01]
        assert [curve["sensitivity"] for curve in result["curves"]] == pytest.approx([0.5, 0.5])


def test_any_sweep_can_be_looked_at_under_a_protocol(world: World) -> None:
    sweep = sweeps.create(
        project=world.project, user=world.owner, objective={"metric": "eval/accuracy", "goal": "maximize"}
    )
    for _ in range(3):
        for place, run in enumerate(sweeps.waiting(sweeps.advanced(sweep))):
            sweeps.train(run, 0.5 + place, "eval/accuracy")
    told = world.client("viewer").get(f"/api/v1/sweeps/{sweep.pk}/protocol?name=eff_at_k").json()
    assert (told["group"], told["knobs"]["metric"], told["knobs"]["goal"]) == ("", "eval/accuracy", "maximize")
    assert told["result"]["bests"][-1]["efficiency"] == 1


def train_all(sweep: Sweep) -> None:
    """Every run of it ends with a loss that is least at 1e-2."""
    for _ in range(5):
        sweeps.advanced(sweep)
        for run in sweeps.waiting(sweep):
            sweeps.train(run, loss_of(run))


def loss_of(run: Run) -> float:
    return 1.0 if run.spec["optimizer"]["lr"] == pytest.approx(0.01) else 2.0


@pytest.mark.parametrize(
    ("changes", "loc", "words"),
    [
        ({"knobs": {"points": 1}}, ["knobs", "points"], "greater than or equal to 2"),
        ({"knobs": {"poinst": 3}}, ["knobs", "poinst"], "There is no such field"),
        ({"spec": {"kind": "pretrain"}}, ["spec", "model"], "This field is required"),
        ({"knobs": {"high": 1e-5}}, ["knobs", "high"], "high must exceed low"),
    ],
)
def test_what_is_wrong_is_named_at_its_place(changes: dict[str, Any], loc: list[str], words: str, world: World) -> None:
    reply = ask(world, "/protocols/lr_sensitivity/plan", {**BODY, **changes})
    assert reply.status_code == 422
    error = next(error for error in reply.json()["errors"] if error["loc"][-len(loc) :] == loc)
    assert words in error["msg"]


def test_a_missing_kind_of_job_is_named_and_nothing_is_started(world: World) -> None:
    from gpu_jobs import registry

    if "merge" in registry.kinds():
        pytest.skip("kind merge is installed")
    reply = ask(world, "/protocols/merge_grid", {**BODY, "knobs": {}, "project": "alpha"})
    assert reply.status_code == 422
    assert "needs jobs of kind 'merge'" in reply.json()["detail"]
    assert not Sweep.objects.exists()


def test_when_one_sweep_is_wrong_none_is_started(world: World) -> None:
    knobs = {**KNOBS, "sizes": ["1x16", "run:999"]}
    reply = ask(world, "/protocols/lr_sensitivity", {**BODY, "knobs": knobs, "project": "alpha"})
    assert reply.status_code == 422
    assert not Sweep.objects.exists()


def test_too_many_sweeps_are_refused_with_their_number(world: World) -> None:
    knobs = {"studies": 20, "workloads": ["language-reference"] * 11}
    reply = ask(world, "/protocols/algoperf/plan", {**BODY, "knobs": knobs})
    assert reply.status_code == 422
    assert "This makes 220 sweeps; at most 200 start at once" in reply.json()["detail"]


def test_a_sweep_made_by_hand_and_an_unknown_protocol_have_nothing_to_tell(world: World) -> None:
    reply = world.client("viewer").get(f"/api/v1/sweeps/{world.sweep.pk}/protocol")
    assert reply.status_code == 404
    assert "belongs to no study" in reply.json()["detail"]
    assert ask(world, "/protocols/nothing/plan", BODY).status_code == 404
