"""A sweep's trials through the API: listed, ranked, added by hand, controlled, told apart."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.test_errors import refused
from tests.api.test_sweeps import finished
from tests.api.world import World, post
from tests.sweeps import scene
from webapp.runs.models import Run
from webapp.sweeps import statistics
from webapp.sweeps.models import Replicate, Sweep, Trial

POINT = {"optimizer.lr": 1e-3, "batch_size": 8}


def at(sweep: Sweep, suffix: str = "") -> str:
    return f"/sweeps/{sweep.pk}/trials{suffix}"


def listed(world: World, sweep: Sweep, query: str = "") -> list[dict[str, Any]]:
    """Every trial, two a page."""
    found, cursor = [], ""
    while True:
        page = world.client("viewer").get(f"/api/v1{at(sweep)}?limit=2&cursor={cursor}&{query}").json()
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = page["next"]


def test_a_trial_is_told_with_its_seeds_and_their_runs(world: World) -> None:
    sweep = finished(world, trials=1, seeds={"tune": 2, "test": 1})
    trial = world.client("viewer").get(f"/api/v1{at(sweep, '/1')}").json()
    told = {"number": 1, "status": "succeeded", "source": "sampler", "seeds_wanted": 2, "message": "", "parent": None,
            "generation": 0, "forecasts": [], "priority": 0, "spared": False}  # fmt: skip
    assert {key: trial[key] for key in told} == told
    rows = {(item.role, item.seed): item for item in Replicate.objects.filter(trial__sweep=sweep)}
    assert {(seed["role"], seed["seed"]) for seed in trial["seeds"]} == set(rows)
    for seed in trial["seeds"]:
        row = rows[seed["role"], seed["seed"]]
        assert (seed["run"], seed["values"], seed["status"]) == (row.run_id, row.values, "succeeded")
    tuned = [seed["values"][0] for seed in trial["seeds"] if seed["role"] == "tune"]
    assert trial["value"] == trial["values"][0] == pytest.approx(sum(tuned) / 2)
    assert trial["interval"] == trial["intervals"][0] == statistics.interval(tuned)._asdict()


def test_trials_are_sorted_by_number_or_value_and_those_without_a_value_come_last(world: World) -> None:
    sweep = finished(world, trials=4)
    open_trial = post(world.client("editor"), at(sweep), {"params": POINT}).json()["number"]
    numbers = [trial["number"] for trial in listed(world, sweep)]
    assert numbers == [1, 2, 3, 4, open_trial]
    assert [trial["number"] for trial in listed(world, sweep, "sort=-number")] == numbers[::-1]
    values = {trial.number: trial.values[0] for trial in Trial.objects.filter(sweep=sweep, values__isnull=False)}
    rising = sorted(values, key=lambda number: values[number])
    assert [trial["number"] for trial in listed(world, sweep, "sort=value")] == [*rising, open_trial]
    assert [trial["number"] for trial in listed(world, sweep, "sort=-value")] == [*rising[::-1], open_trial]
    assert "number, value" in refused(world.client("viewer").get(f"/api/v1{at(sweep)}?sort=name"), 422, "sort")


def test_a_page_of_trials_costs_a_fixed_number_of_queries(world: World) -> None:
    client = world.client("owner")

    def cost(sweep: Sweep) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(f"/api/v1{at(sweep)}").status_code == 200
        return len(captured)

    small, large = finished(world, trials=1), finished(world, trials=4, seeds=2)
    cost(small)
    assert cost(small) == cost(large) <= 10


def test_a_point_by_hand_is_tried(world: World) -> None:
    response = post(world.client("editor"), at(world.paused_sweep), {"params": POINT})
    assert response.status_code == 201, response.content
    trial = response.json()
    assert (trial["source"], trial["params"], trial["status"]) == ("hand", POINT, "queued")


@pytest.mark.parametrize(
    ("params", "loc"),
    [
        ({"optimizer.lr": 1.0, "batch_size": 8}, ["params"]),
        ({"optimizer.lr": "big", "batch_size": 8}, ["params"]),
        ({"optimizer.lr": 1e-3, "batch_size": 8, "steps": 3}, ["params"]),
        ({"optimizer.lr": 1e-3}, ["params"]),
    ],
)
def test_a_point_outside_the_space_is_refused_and_nothing_is_tried(
    params: dict[str, Any], loc: list[str], world: World
) -> None:
    errors = post(world.client("editor"), at(world.paused_sweep), {"params": params}).json()["errors"]
    assert errors and all(error["loc"][: len(loc)] == loc for error in errors), errors
    assert not Trial.objects.exists()


def test_a_point_holds_finite_numbers_only(world: World) -> None:
    text = b'{"params": {"optimizer.lr": Infinity}}'
    message = refused(post(world.client("editor"), at(world.sweep), text), 422, "params", "optimizer.lr")
    assert "finite" in message


def test_a_trial_is_cancelled_and_resumed(world: World) -> None:
    client = world.client("editor")
    cancelled = post(client, at(world.sweep, "/1/cancel"), b"").json()
    assert cancelled["status"] == "cancelled"
    assert "editor" in cancelled["message"]
    refused(post(client, at(world.sweep, "/1/cancel"), b""), 409)
    resumed = post(client, at(world.sweep, "/1/resume"), b"").json()
    assert (resumed["status"], resumed["spared"]) == ("running", True)
    refused(post(client, at(world.sweep, "/2/resume"), b""), 409)


def test_a_prioritised_trial_goes_before_the_others(world: World) -> None:
    trial = post(world.client("editor"), at(world.sweep, "/2/prioritise"), {"priority": 7}).json()
    assert trial["priority"] == 7
    first = Run.objects.filter(status="queued").order_by("place__position").first()
    assert first is not None and first.pk == trial["seeds"][0]["run"]
    refused(post(world.client("editor"), at(world.sweep, "/2/prioritise"), {"priority": 5000}), 422, "priority")


def test_two_trials_are_told_apart_or_the_seeds_that_it_takes_are_named(world: World) -> None:
    sweep = finished(world, trials=2, seeds=3)
    answer = world.client("viewer").get(f"/api/v1/sweeps/{sweep.pk}/compare?a=1&b=2").json()
    a, b = ([row.values[0] for row in trial.replicates.order_by("seed")] for trial in scene.trials(sweep))
    assert answer["difference"] == statistics.difference(a, b, 0.95)._asdict()
    assert answer["seeds_needed"] == statistics.seeds_needed(a, b, confidence=0.95, power=0.8)
    assert [interval["n"] for interval in answer["intervals"]] == [3, 3]
    assert (answer["a"], answer["b"], answer["metric"], answer["confidence"]) == (1, 2, "eval/loss", 0.95)


def test_trials_without_values_have_no_difference(world: World) -> None:
    answer = world.client("viewer").get(f"/api/v1/sweeps/{world.sweep.pk}/compare?a=1&b=2").json()
    assert (answer["difference"], answer["seeds_needed"], answer["intervals"]) == (None, None, [None, None])


def test_only_trials_and_objectives_that_are_there_can_be_compared(world: World) -> None:
    client, address = world.client("viewer"), f"/api/v1/sweeps/{world.sweep.pk}/compare"
    assert "no trial 9" in refused(client.get(f"{address}?a=1&b=9"), 422, "b")
    refused(client.get(f"{address}?a=1&b=2&objective=1"), 422, "objective")
    refused(client.get(f"{address}?a=1"), 422, "b")
