"""Workers, queues, projects and members."""

from __future__ import annotations

from tests.api.world import World, post
from tests.runs import scene
from webapp.runs.models import Queue, Worker


def test_a_worker_shows_its_runs_to_those_who_may_see_them(world: World) -> None:
    attempt = scene.running(where=world.project, user=world.owner)
    (seen,) = world.client("viewer").get("/api/v1/workers").json()["items"]
    (hidden,) = world.client("stranger").get("/api/v1/workers").json()["items"]
    assert (seen["name"], seen["busy"], seen["alive"], seen["queues"]) == ("w", 1, True, ["default"])
    assert [run["run"] for run in seen["runs"]] == [attempt.run_id]
    assert (hidden["busy"], hidden["runs"]) == (1, [])


def test_an_administrator_drains_a_worker_and_pauses_a_queue(world: World) -> None:
    admin, worker = world.client("admin"), world.worker
    assert post(admin, f"/workers/{worker.pk}/drain", b"").json()["draining"] is True
    assert Worker.objects.get(pk=worker.pk).draining
    assert post(admin, f"/workers/{worker.pk}/undrain", b"").json()["draining"] is False
    assert post(admin, "/queues/default/pause", b"").json()["paused"] is True
    assert Queue.objects.get(name="default").paused
    assert post(admin, "/queues/default/resume", b"").json()["paused"] is False
    assert post(admin, "/queues/nothing/pause", b"").status_code == 404
    assert post(admin, "/workers/999/drain", b"").status_code == 404


def test_members_come_change_and_go(world: World) -> None:
    owner, stranger = world.client("owner"), world.client("stranger")
    added = post(owner, "/projects/alpha/members", {"username": "stranger", "role": "viewer"})
    assert added.json() == {"username": "stranger", "role": "viewer"}
    assert stranger.get("/api/v1/projects/alpha").json()["role"] == "viewer"
    post(owner, "/projects/alpha/members/stranger", {"role": "owner"}, "PATCH")
    listed = owner.get("/api/v1/projects/alpha/members").json()["items"]
    assert [(member["username"], member["role"]) for member in listed] == [("owner", "owner"), ("stranger", "owner")]
    assert stranger.delete("/api/v1/projects/alpha/members/owner").status_code == 204
    assert owner.get("/api/v1/projects/alpha").status_code == 404


def test_nobody_unknown_becomes_a_member(world: World) -> None:
    owner = world.client("owner")
    response = post(owner, "/projects/alpha/members", {"username": "nobody"})
    assert (response.status_code, response.json()["errors"][0]["loc"]) == (422, ["username"])
    assert post(owner, "/projects/alpha/members/nobody", {"role": "viewer"}, "PATCH").status_code == 404


def test_a_project_keeps_its_address_when_it_is_renamed(world: World) -> None:
    renamed = post(world.client("owner"), "/projects/alpha", {"name": "Omega"}, "PATCH").json()
    assert (renamed["slug"], renamed["name"], renamed["role"]) == ("alpha", "Omega", "owner")
    taken = post(world.client("editor"), "/projects", {"name": "Alpha"})
    assert (taken.status_code, taken.json()["errors"][0]["loc"]) == (422, ["name"])
