"""Before a sweep: its plan, a suggested space, the samplers and stoppers there are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.test_errors import refused
from tests.api.test_sweeps import body
from tests.api.world import World, post
from tests.runs import scene as runs
from tests.sweeps import scene
from webapp.runs.models import Run
from webapp.runs.specs import checked
from webapp.sweeps import registry
from webapp.sweeps.definition import Search
from webapp.sweeps.models import Sweep


def test_a_plan_shows_points_and_their_specs_and_queues_nothing(world: World) -> None:
    response = post(world.client("viewer"), "/sweeps/plan", body(trials=2))
    assert response.status_code == 200, response.content
    plan = response.json()
    assert len(plan["examples"]) == 2
    for example in plan["examples"]:
        assert set(example["params"]) == set(scene.SPACE)
        assert example["spec"]["optimizer"]["lr"] == example["params"]["optimizer.lr"]
        checked(example["spec"])
    assert plan["forecast"]["runs_left"] == 2
    assert not Sweep.objects.exists() and not Run.objects.exists()


def test_a_plan_counts_every_seed(world: World) -> None:
    plan = post(world.client("viewer"), "/sweeps/plan", body(trials=4, seeds={"tune": 3, "test": 2})).json()
    assert plan["forecast"]["runs_left"] == 4 * 3 + 2


def test_a_plan_is_made_without_a_project_but_not_of_a_strangers(world: World) -> None:
    without = {key: value for key, value in body().items() if key != "project"}
    assert post(world.client("stranger"), "/sweeps/plan", without).status_code == 200
    assert post(world.client("stranger"), "/sweeps/plan", body()).status_code == 404


def test_a_suggested_space_is_one_that_a_sweep_takes(world: World) -> None:
    space = post(world.client("viewer"), "/sweeps/suggestions", runs.SPEC).json()["space"]
    assert "optimizer.lr" in space
    assert set(Search.model_validate({"space": space}).space) == set(space)
    response = post(world.client("editor"), "/sweeps", body(search={"sampler": "random", "space": space}))
    assert response.status_code == 201, response.content


@pytest.mark.parametrize("spec", [{}, {"kind": "nonsense"}, {"kind": 5}])
def test_a_space_is_suggested_for_kinds_that_there_are(spec: dict[str, Any], world: World) -> None:
    assert "finetune" in refused(post(world.client("viewer"), "/sweeps/suggestions", spec), 422, "kind")


@pytest.mark.parametrize(("path", "folder"), [("/samplers", "search.samplers"), ("/stoppers", "stoppers")])
def test_what_is_registered_is_told_with_its_knobs(path: str, folder: str, world: World) -> None:
    items = world.client("viewer").get(f"/api/v1{path}").json()["items"]
    assert [item["name"] for item in items] == list(registry.entries(folder))
    for item in items:
        assert item["title"] and item["summary"]
        assert item["knobs"]["properties"]["name"]["const"] == item["name"]
