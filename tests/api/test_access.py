"""Every route times owner, editor, viewer, stranger and anonymous. A route that stands in no row fails the suite."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.api.world import ROLES, Form, World, post
from tests.runs import scene
from tests.scaling import ladders
from tests.scaling import scene as scaling
from tests.sweeps import scene as sweeps
from webapp.api.api import api

Expected = tuple[int, int, int, int, int]  # owner, editor, viewer, stranger, anonymous


def members(status: int) -> Expected:
    return (status, status, status, 404, 401)


def editors(status: int) -> Expected:
    return (status, status, 403, 404, 401)


def owners(status: int) -> Expected:
    return (status, 403, 403, 404, 401)


def people(status: int) -> Expected:
    return (status, status, status, status, 401)


NOBODY_HERE: Expected = (403, 403, 403, 403, 401)  # administrators only; an owner of a project is none


class Route(NamedTuple):
    operation: str
    method: str
    path: Callable[[World], str]
    expected: Expected
    body: Any = None


def route(
    operation: str, method: str, path: str | Callable[[World], str], expected: Expected, body: Any = None
) -> Route:
    return Route(operation, method, path if callable(path) else lambda _: path, expected, body)


def of_run(suffix: str, name: str = "run") -> Callable[[World], str]:
    return lambda world: f"/runs/{getattr(world, name).pk}{suffix}"


def of_sweep(suffix: str, name: str = "sweep") -> Callable[[World], str]:
    return lambda world: f"/sweeps/{getattr(world, name).pk}{suffix}"


def of_view(suffix: str) -> Callable[[World], str]:
    return lambda world: f"/projects/alpha/views/{world.view.pk}{suffix}"


def of_ladder(suffix: str) -> Callable[[World], str]:
    return lambda world: f"/ladders/{world.ladder.pk}{suffix}"


def of_schedule(suffix: str) -> Callable[[World], str]:
    return lambda world: f"/schedules/{world.schedule.pk}{suffix}"


def of_fit(suffix: str, name: str = "fit") -> Callable[[World], str]:
    return lambda world: f"/fits/{getattr(world, name).pk}{suffix}"


WANDB = """
method: random
metric: {name: eval/loss, goal: minimize}
parameters:
  optimizer.lr: {distribution: log_uniform_values, min: 0.0001, max: 0.01}
"""
IMPORT = Form(format="wandb", project="alpha", spec=json.dumps(scene.SPEC), file=WANDB.encode())
SWEEP = {"project": "alpha", **sweeps.definition()}
LADDER = {"project": "alpha", **ladders.definition()}
STUDY = {"project": "alpha", "spec": scene.SPEC}
SCHEDULE = {"project": "alpha", "name": "n", "cron": "0 2 * * *", "action": {"run": {"spec": scene.SPEC}}}
FIT = {"project": "alpha", "spec": scaling.table()}
POINTS = {"series": {"loss": {"step": [3], "value": [2.0]}}}
MEDIA = {"items": [{"name": "weights", "histogram": {"edges": [0, 1, 2], "counts": [3, 4]}}]}
ROUTES = [
    route("list_projects", "GET", "/projects", people(200)),
    route("create_project", "POST", "/projects", people(201), {"name": "Gamma"}),
    route("get_project", "GET", "/projects/alpha", members(200)),
    route("rename_project", "PATCH", "/projects/alpha", owners(200), {"name": "Renamed"}),
    route("list_members", "GET", "/projects/alpha/members", members(200)),
    route("add_member", "POST", lambda w: f"/projects/alpha/members{w.stranger.pk and ''}", owners(201),
          {"username": "stranger", "role": "viewer"}),
    route("change_role", "PATCH", lambda w: f"/projects/alpha/members/{w.viewer.username}", owners(200),
          {"role": "editor"}),
    route("remove_member", "DELETE", lambda w: f"/projects/alpha/members/{w.viewer.username}", owners(204)),
    route("list_uploads", "GET", "/projects/alpha/uploads", members(200)),
    route("upload_file", "POST", "/projects/alpha/uploads?name=a.txt", editors(201), b"bytes"),
    route("delete_upload", "DELETE", lambda w: f"/projects/alpha/uploads/{w.upload.pk}", editors(204)),
    route("list_runs", "GET", "/runs?project=alpha", members(200)),
    route("export_runs", "GET", "/runs/export?project=alpha", members(200)),
    route("group_runs", "GET", "/runs/groups?project=alpha&group=status", members(200)),
    route("list_views", "GET", "/projects/alpha/views", members(200)),
    route("create_view", "POST", "/projects/alpha/views", editors(201), {"name": "mine", "q": "lora"}),
    route("get_view", "GET", of_view(""), members(200)),
    route("edit_view", "PATCH", of_view(""), editors(200), {"is_default": True}),
    route("delete_view", "DELETE", of_view(""), editors(204)),
    route("submit_run", "POST", "/runs", editors(201), {"project": "alpha", "spec": scene.SPEC}),
    route("complete_query", "GET", "/runs/completions?project=alpha&q=na", members(200)),
    route("get_run", "GET", of_run(""), members(200)),
    route("update_run", "PATCH", of_run(""), editors(200), {"name": "other"}),
    route("delete_run", "DELETE", of_run(""), editors(204)),
    route("change_runs", "POST", "/runs/bulk", editors(200),
          {"project": "alpha", "action": "cancel", "matching": {}, "dry_run": True}),
    route("cancel_run", "POST", of_run("/cancel"), editors(200)),
    route("pause_run", "POST", of_run("/pause"), editors(200)),
    route("resume_run", "POST", of_run("/resume", "paused"), editors(200)),
    route("requeue_run", "POST", of_run("/requeue", "cancelled"), editors(200)),
    route("clone_run", "POST", of_run("/clone"), editors(201), {"spec": {"seed": 1}}),
    route("move_run", "POST", of_run("/move"), editors(200), {"position": 1}),
    route("finish_run", "POST", of_run("/finish", "external"), editors(200), {"status": "succeeded"}),
    route("heartbeat", "POST", of_run("/heartbeat", "external"), editors(200)),
    route("list_metrics", "GET", of_run("/metrics"), members(200)),
    route("log_points", "POST", of_run("/metrics", "external"), editors(201), POINTS),
    route("get_series", "GET", of_run("/series?name=loss", "external"), members(200)),
    route("export_series", "GET", of_run("/export?name=loss", "external"), members(200)),
    route("list_media", "GET", of_run("/media", "pictured"), members(200)),
    route("log_media", "POST", of_run("/media", "external"), editors(201), MEDIA),
    route("list_media_items", "GET", of_run("/media-items?name=a/picture", "pictured"), members(200)),
    route("get_media", "GET", of_run("/media/a/picture", "pictured"), members(200)),
    route("compare_series", "GET", "/series?name=loss&project=alpha", members(200)),
    route("compare_runs", "GET", "/compare?project=alpha", members(200)),
    route("compare_settings", "GET", "/compare/diff?project=alpha", members(200)),
    route("compare_masks", "GET", lambda w: f"/compare/masks?run={w.masked[0].pk}&run={w.masked[1].pk}", members(200)),
    route("list_logs", "GET", of_run("/logs"), members(200)),
    route("follow_run", "GET", of_run("/events"), members(200)),
    route("list_artifacts", "GET", of_run("/artifacts"), members(200)),
    route("download_artifact", "GET", of_run("/artifacts/model/config.json", "trained"), members(200)),
    route("upload_artifact", "PUT", of_run("/artifacts/a.txt", "external"), editors(201), b"bytes"),
    route("list_sweeps", "GET", "/sweeps?project=alpha", members(200)),
    route("create_sweep", "POST", "/sweeps", editors(201), SWEEP),
    route("get_sweep", "GET", of_sweep(""), members(200)),
    route("edit_sweep", "PATCH", of_sweep(""), editors(200), {"concurrency": 3}),
    route("delete_sweep", "DELETE", of_sweep(""), editors(204)),
    route("pause_sweep", "POST", of_sweep("/pause"), editors(200)),
    route("resume_sweep", "POST", of_sweep("/resume", "paused_sweep"), editors(200)),
    route("stop_sweep", "POST", of_sweep("/stop"), editors(200)),
    route("extend_sweep", "POST", of_sweep("/extend"), editors(200), {"trials": 2}),
    route("requeue_failed_trials", "POST", of_sweep("/requeue-failed"), editors(200)),
    route("list_sweep_events", "GET", of_sweep("/events"), members(200)),
    route("list_trials", "GET", of_sweep("/trials"), members(200)),
    route("add_trial", "POST", of_sweep("/trials"), editors(201), {"params": {"optimizer.lr": 1e-3, "batch_size": 8}}),
    route("get_trial", "GET", of_sweep("/trials/1"), members(200)),
    route("cancel_trial", "POST", of_sweep("/trials/1/cancel"), editors(200)),
    route("resume_trial", "POST", lambda w: f"/sweeps/{w.cancelled_trial.sweep_id}/trials/1/resume", editors(200)),
    route("prioritise_trial", "POST", of_sweep("/trials/1/prioritise"), editors(200), {"priority": 5}),
    route("compare_trials", "GET", of_sweep("/compare?a=1&b=2"), members(200)),
    route("import_sweep", "POST", "/sweeps/import", editors(201), IMPORT),
    route("export_sweep", "GET", of_sweep("/export?format=csv"), members(200)),
    route("plan_sweep", "POST", "/sweeps/plan", members(200), SWEEP),
    route("list_fits", "GET", "/fits?project=alpha", members(200)),
    route("create_fit", "POST", "/fits", editors(201), FIT),
    route("get_fit", "GET", of_fit(""), members(200)),
    route("edit_fit", "PATCH", of_fit(""), editors(200), {"name": "other"}),
    route("delete_fit", "DELETE", of_fit(""), editors(204)),
    route("revise_fit", "POST", of_fit("/revise"), editors(201)),
    route("list_revisions", "GET", of_fit("/revisions"), members(200)),
    route("export_points", "GET", of_fit("/points.csv", "done_fit"), members(200)),
    route("predict_points", "POST", of_fit("/predict", "done_fit"), members(200), {"points": [{"N": 1e9, "D": 1e10}]}),
    route("list_schedules", "GET", "/schedules?project=alpha", members(200)),
    route("create_schedule", "POST", "/schedules", editors(201), SCHEDULE),
    route("get_schedule", "GET", of_schedule(""), members(200)),
    route("edit_schedule", "PATCH", of_schedule(""), editors(200), {"enabled": False}),
    route("delete_schedule", "DELETE", of_schedule(""), editors(204)),
    route("run_schedule", "POST", of_schedule("/run"), editors(201)),
    route("list_firings", "GET", of_schedule("/firings"), members(200)),
    route("list_ladders", "GET", "/ladders?project=alpha", members(200)),
    route("plan_ladder", "POST", "/ladders/plan", members(200), LADDER),
    route("create_ladder", "POST", "/ladders", editors(201), LADDER),
    route("get_ladder", "GET", of_ladder(""), members(200)),
    route("delete_ladder", "DELETE", of_ladder(""), editors(204)),
    route("cancel_ladder", "POST", of_ladder("/cancel"), editors(200)),
    route("list_next_runs", "GET", of_ladder("/next"), members(200)),
    route("queue_next_run", "POST", of_ladder("/next"), editors(201), {"at": {"N": 30000, "D": 600000}}),
    route("list_protocols", "GET", "/protocols", people(200)),
    route("plan_study", "POST", "/protocols/eval_variance/plan", members(200), STUDY),
    route("start_study", "POST", "/protocols/eval_variance", editors(201), STUDY),
    route("analyse_study", "GET", lambda w: f"/sweeps/{w.study.sweeps[0].pk}/protocol", members(200)),
    route("continue_study", "POST", lambda w: f"/sweeps/{w.study.sweeps[0].pk}/protocol", editors(422)),
    route("suggest_space", "POST", "/sweeps/suggestions", people(200), scene.SPEC),
    route("list_samplers", "GET", "/samplers", people(200)),
    route("list_stoppers", "GET", "/stoppers", people(200)),
    route("list_kinds", "GET", "/kinds", people(200)),
    route("list_methods", "GET", "/methods", people(200)),
    route("get_method", "GET", "/methods/adapters/lora", people(200)),
    route("plan_job", "POST", "/plan", people(200), scene.SPEC),
    route("plan_methods", "POST", "/plan/methods?device_bytes=1000000", people(200), scene.SPEC),
    route("list_workers", "GET", "/workers", people(200)),
    route("drain_worker", "POST", lambda w: f"/workers/{w.worker.pk}/drain", NOBODY_HERE),
    route("undrain_worker", "POST", lambda w: f"/workers/{w.worker.pk}/undrain", NOBODY_HERE),
    route("list_queues", "GET", "/queues", people(200)),
    route("get_queue", "GET", lambda w: f"/queues/{w.run.queue_id}", people(200)),
    route("pause_queue", "POST", lambda w: f"/queues/{w.run.queue_id}/pause", NOBODY_HERE),
    route("resume_queue", "POST", lambda w: f"/queues/{w.run.queue_id}/resume", NOBODY_HERE),
    route("list_tokens", "GET", "/tokens", people(200)),
    route("create_token", "POST", "/tokens", people(201), {"name": "laptop"}),
    route("revoke_token", "DELETE", lambda w: f"/tokens/{w.token_of('owner').pk}", (204, 404, 404, 404, 401)),
    route("unknown_address", "GET", "/nowhere", (404, 404, 404, 404, 401)),
]  # fmt: skip


def operations() -> list[str]:
    routers = api._get_bound_routers()
    return [
        operation.view_func.__name__
        for router in routers
        for view in router.path_operations.values()
        for operation in view.operations
    ]


def test_every_route_of_the_api_has_a_row_in_this_table() -> None:
    assert sorted(operations()) == sorted(row.operation for row in ROUTES)


def test_every_operation_demands_authentication() -> None:
    for router in api._get_bound_routers():
        for view in router.path_operations.values():
            assert all(operation.auth_callbacks for operation in view.operations)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", ROUTES, ids=[row.operation for row in ROUTES])
def test_a_route_answers_each_role_as_decided(row: Route, role: str, world: World) -> None:
    path = row.path(world)
    response = post(world.client(role), path, b"" if row.body is None else row.body, row.method)
    assert response.status_code == row.expected[ROLES.index(role)], response.content[:300]
    if response.status_code >= 400:
        assert set(response.json()) == {"detail", "errors"}


@pytest.mark.parametrize("path", ["/workers/{worker}/drain", "/workers/{worker}/undrain", "/queues/default/pause",
                                  "/queues/default/resume"])  # fmt: skip
def test_an_administrator_controls_queues_and_workers(path: str, world: World) -> None:
    assert world.run.queue_id == "default"
    response = post(world.client("admin"), path.format(worker=world.worker.pk), b"")
    assert response.status_code == 200, response.content


def test_what_a_stranger_may_not_see_answers_like_what_does_not_exist(world: World) -> None:
    stranger = world.client("stranger")
    hidden = stranger.get(f"/api/v1/runs/{world.run.pk}").json()["detail"]
    absent = stranger.get("/api/v1/runs/999999").json()["detail"]
    assert hidden.replace(str(world.run.pk), "N") == absent.replace("999999", "N")
    assert world.run.pk not in [run["id"] for run in stranger.get("/api/v1/runs").json()["items"]]


def test_a_route_below_another_project_shows_nothing_of_this_one(world: World) -> None:
    assert world.stranger.memberships.count() == 1
    path = f"/api/v1/projects/beta/uploads/{world.upload.pk}"
    assert world.client("stranger").delete(path).status_code == 404
