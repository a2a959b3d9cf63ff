"""Bad input: always a 4xx in one shape that names the field, never a 500, and nothing half-created."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.test_access import ROUTES, SCHEDULE, SWEEP, Route
from tests.api.world import World, post
from tests.runs import scene
from webapp.api.api import api
from webapp.runs.models import Run

RUN = {"project": "alpha", "spec": scene.SPEC}


def refused(response: Any, status: int, *loc: str | int) -> str:
    """Checks the shape; returns the sentence of the error at `loc`."""
    assert response.status_code == status, response.content[:500]
    body = response.json()
    assert set(body) == {"detail", "errors"}
    assert isinstance(body["detail"], str) and body["detail"]
    at = {tuple(error["loc"]): error["msg"] for error in body["errors"]}
    if loc:
        assert loc in at, body
    return str(at.get(loc, body["detail"]))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not JSON"),
        (b'{"project": "\xff"}', "UTF-8"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested deeper"),
        (b"[" * 100_000, "nested deeper"),
        (b"9" * 5000, "not JSON"),
    ],
)
def test_a_body_that_is_not_usable_json_is_refused(body: bytes, says: str, world: World) -> None:
    assert says in refused(post(world.client("owner"), "/runs", body), 400)


@pytest.mark.parametrize("text", [b"\\u0000", b"\\ud800"])
def test_text_that_postgres_cannot_hold_is_refused_at_its_place(text: bytes, world: World) -> None:
    body = b'{"project": "alpha", "spec": {"kind": "external", "notes": ["a' + text + b'"]}}'
    message = refused(post(world.client("owner"), "/runs", body), 422, "spec", "notes", 0)
    assert "Text must not contain" in message


def test_a_path_with_a_nul_character_names_nothing(world: World) -> None:
    refused(world.client("owner").get("/api/v1/projects/al%00pha"), 404)
    refused(world.client("owner").get(f"/api/v1/runs/{world.run.pk}/artifacts/a%00b"), 404)


def test_a_query_with_a_nul_character_is_refused(world: World) -> None:
    refused(world.client("owner").get("/api/v1/runs?q=a%00b"), 422, "q")


def test_unknown_fields_are_refused_by_name(world: World) -> None:
    client = world.client("owner")
    assert "no such field" in refused(post(client, "/runs", {**RUN, "prioritty": 1}), 422, "prioritty")
    wrong_spec = {**scene.SPEC, "stepz": 1}
    assert "no such field" in refused(post(client, "/runs", {**RUN, "spec": wrong_spec}), 422, "spec", "stepz")
    assert not Run.objects.exists()


def test_unknown_query_parameters_are_refused_with_those_there_are(world: World) -> None:
    message = refused(world.client("owner").get("/api/v1/runs?stauts=failed"), 422, "stauts")
    assert "status" in message
    refused(world.client("owner").get(f"/api/v1/runs/{world.run.pk}/events?x=1"), 422, "x")


def test_a_broken_rule_of_a_spec_names_field_rule_and_value(world: World) -> None:
    body = {**RUN, "spec": {**scene.SPEC, "steps": 0, "model": {"source": "config", "layers": 0}}}
    response = post(world.client("owner"), "/runs", body)
    assert "greater than or equal to 1, not 0" in refused(response, 422, "spec", "steps")
    assert "greater than or equal to 1, not 0" in refused(response, 422, "spec", "model", "layers")
    assert not Run.objects.exists()


def test_a_plan_is_refused_with_the_same_sentences_as_a_run(world: World) -> None:
    spec = {**scene.SPEC, "steps": 0, "batch_size": -1}
    run = post(world.client("owner"), "/runs", {**RUN, "spec": spec}).json()["errors"]
    plan = post(world.client("owner"), "/plan", spec).json()["errors"]
    assert [error["msg"] for error in plan] == [error["msg"] for error in run]
    assert [["spec", *error["loc"]] for error in plan] == [error["loc"] for error in run]


def test_every_broken_rule_is_told_at_once(world: World) -> None:
    fields = {"name": "x" * 201, "tags": ["y" * 61], "priority": 10**30, "queue": "../..", "baseline": 10**30}
    response = post(world.client("owner"), "/runs", {**RUN, **fields})
    for name in fields:
        refused(response, 422, name)
    assert not Run.objects.exists()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e999"])
def test_a_spec_holds_finite_numbers_only(number: str, world: World) -> None:
    body = f'{{"project": "alpha", "spec": {{"kind": "external", "lr": [{number}]}}}}'.encode()
    assert "finite" in refused(post(world.client("owner"), "/runs", body), 422, "spec", "lr", 0)


@pytest.mark.parametrize("run_id", [0, 2**31, 2**63, 10**30])
def test_a_number_that_is_no_run_is_not_found(run_id: int, world: World) -> None:
    refused(world.client("owner").get(f"/api/v1/runs/{run_id}"), 404)
    refused(post(world.client("owner"), f"/runs/{run_id}/cancel", b""), 404)
    refused(world.client("owner").delete(f"/api/v1/tokens/{run_id}"), 404)


def test_an_impossible_transition_says_what_is_possible(world: World) -> None:
    message = refused(post(world.client("owner"), f"/runs/{world.cancelled.pk}/pause", b""), 409)
    assert "requeued" in message
    message = refused(post(world.client("owner"), f"/runs/{world.external.pk}/pause", b""), 409)
    assert message.endswith("it can be cancelled.")


def test_a_wrong_method_is_told_the_right_ones(world: World) -> None:
    response = world.client("owner").put(f"/api/v1/runs/{world.run.pk}")
    assert "DELETE, GET, PATCH" in refused(response, 405)
    assert response["Allow"] == "DELETE, GET, PATCH"


def test_the_last_owner_stays(world: World) -> None:
    response = world.client("owner").delete("/api/v1/projects/alpha/members/owner")
    assert "last owner" in refused(response, 409, "role")


def test_a_body_beyond_the_memory_limit_is_too_large(world: World, settings: Any) -> None:
    client = world.client("owner")
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    refused(post(client, "/projects", {"name": "x" * 200}), 413)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("x" * 5000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FUZZ = settings(
    max_examples=15, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
ASHA = {"name": "asha", "min_steps": 20, "reduction": 3}
SEEDS = {"tune": 2, "first": 1, "racing": True, "racing_from": 1, "test": 1, "confidence": 0.9}
BODIES: dict[str, dict[str, Any]] = {
    "create_project": {"name": "Gamma"},
    "rename_project": {"name": "Renamed"},
    "add_member": {"username": "owner", "role": "owner"},
    "submit_run": {**RUN, "name": "n", "tags": ["t"], "priority": 1, "queue": "q", "baseline": None},
    "update_run": {"name": "n", "tags": ["t"], "priority": 1, "queue": "q", "baseline": None},
    "clone_run": {"spec": {"seed": 1, "model": {"source": "builtin"}}, "name": "n", "tags": [], "priority": 0},
    "move_run": {"position": 1},
    "finish_run": {"status": "failed", "result": {"a": 1}, "error_message": "no"},
    "log_points": {"series": {"loss": {"step": [1, 2], "value": [1.0, "NaN"], "time": [0, 1]}}},
    "plan_job": scene.SPEC,
    "create_sweep": {**SWEEP, "name": "n", "tags": ["t"], "priority": 1, "queue": "q", "stopper": ASHA, "seeds": SEEDS,
                     "budget": {"gpu_hours": 1.0, "deadline": "2099-01-01T00:00:00Z"}},
    "plan_sweep": SWEEP,
    "edit_sweep": {"search": SWEEP["search"], "stopper": ASHA, "seeds": SEEDS, "trials": 3, "budget": {"flops": 1.0}},
    "extend_sweep": {"trials": 1, "budget": {"gpu_hours": 1.0}},
    "add_trial": {"params": {"optimizer.lr": 1e-3, "batch_size": 8}},
    "prioritise_trial": {"priority": 1},
    "suggest_space": scene.SPEC,
    "create_schedule": {**SCHEDULE, "timezone": "UTC", "missed": "once", "overlap": True},
    "edit_schedule": {"cron": "*/5 * * * *", "timezone": "UTC", "enabled": True, "action": SCHEDULE["action"]},
    "plan_study": {"spec": scene.SPEC, "knobs": {"seeds": 3}},
    "create_token": {"name": "laptop", "expires_at": "2099-01-01T00:00:00Z"},
}  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in pairs for place in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = deepcopy(value)
    target = copy
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = by
    return copy


@pytest.mark.parametrize("row", [row for row in ROUTES if row.operation in BODIES], ids=lambda row: row.operation)
@FUZZ
@given(data=st.data())
def test_no_body_breaks_the_server(row: Route, data: st.DataObject, world: World) -> None:
    """Any value anywhere in a good body; an exception in the server would surface here as itself."""
    good = BODIES[row.operation]
    body = replaced(good, data.draw(st.sampled_from(places(good))), data.draw(JSON))
    response = post(
        world.client("owner"), row.path(world), json.dumps(body).encode("utf-8", "surrogatepass"), row.method
    )
    assert response.status_code < 500
    if response.status_code >= 400:
        refused(response, response.status_code)


def parameters(operation: str) -> list[str]:
    found = [
        known.models
        for router in api._get_bound_routers()
        for view in router.path_operations.values()
        for known in view.operations
        if known.view_func.__name__ == operation
    ]
    queries = [model for model in found[0] if model.__ninja_param_source__ == "query"]
    return [name for model in queries for name in model.__ninja_flatten_map__]


@pytest.mark.parametrize(
    "row", [row for row in ROUTES if row.method == "GET" and parameters(row.operation)], ids=lambda row: row.operation
)
@FUZZ
@given(data=st.data())
def test_no_query_breaks_the_server(row: Route, data: st.DataObject, world: World) -> None:
    values = (
        st.text(max_size=20) | st.integers().map(str) | st.floats().map(str) | st.sampled_from(["step", "loss", "-id"])
    )
    query = data.draw(st.dictionaries(st.sampled_from(parameters(row.operation)), values, max_size=4))
    path, _, given_query = row.path(world).partition("?")
    encoded = urlencode(query, errors="surrogatepass")
    response = world.client("owner").get(f"/api/v1{path}?{given_query}&{encoded}")
    assert response.status_code < 500


def test_a_sentence_that_names_its_field_is_not_told_the_name_twice(world: World) -> None:
    answer = world.client("viewer").get("/api/v1/runs?q=status+%3D").json()
    assert answer["detail"].startswith("q: expected a value at character 9")
    assert answer["detail"] == answer["errors"][0]["msg"]
