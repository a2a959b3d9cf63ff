"""One thing done to many runs: what was seen is what it is done to, or nothing is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.world import World, post
from tests.runs import scene
from webapp.runs import actions
from webapp.runs.models import Run
from webapp.runs.states import Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def runs(world: World) -> list[Run]:
    Run.objects.filter(project=world.project).update(deleted_at="2026-01-01T00:00Z")
    return [
        actions.submit(project=world.project, spec=scene.SPEC, user=world.owner, name=name, tags=tags)
        for name, tags in (("a", ["x"]), ("b", ["x"]), ("c", []))
    ]


def send(world: World, role: str = "editor", **body: Any) -> Any:
    return post(world.client(role), "/runs/bulk", {"project": "alpha", **body})


def statuses(runs: list[Run]) -> list[str]:
    return [Run.objects.get(pk=run.pk).status for run in runs]


def test_named_runs_are_cancelled_and_the_others_are_left(world: World, runs: list[Run]) -> None:
    actions.cancel(runs[0])
    answer = send(world, action="cancel", runs=[runs[0].pk, runs[1].pk]).json()
    assert (answer["matched"], answer["done"]) == (2, 1)
    [reason] = answer["refused"]
    assert f"Run {runs[0].pk}" in reason
    assert statuses(runs) == [Status.CANCELLED, Status.CANCELLED, Status.QUEUED]


def test_runs_get_a_tag_besides_their_own(world: World, runs: list[Run]) -> None:
    assert send(world, action="tag", tag="keep", runs=[run.pk for run in runs]).json()["done"] == 3
    assert [Run.objects.get(pk=run.pk).tags for run in runs] == [["keep", "x"], ["keep", "x"], ["keep"]]


def test_all_that_match_are_deleted_once_they_were_counted(world: World, runs: list[Run]) -> None:
    body: dict[str, Any] = {"action": "delete", "matching": {"tag": "x", "q": "status = 'queued'"}}
    unseen = send(world, **body)
    assert unseen.status_code == 422 and unseen.json()["errors"][0]["loc"] == ["digest"]
    told = send(world, **body, dry_run=True).json()
    assert (told["matched"], told["done"]) == (2, 0)
    late = actions.submit(project=world.project, spec=scene.SPEC, user=world.owner, name="late", tags=["x"])
    changed = send(world, **body, digest=told["digest"])
    assert changed.status_code == 409 and "3 runs" in changed.json()["detail"]
    assert Run.objects.filter(project=world.project, deleted_at=None).count() == 4
    again = send(world, **body, dry_run=True).json()
    assert send(world, **body, digest=again["digest"]).json()["done"] == 3
    assert list(Run.objects.filter(project=world.project, deleted_at=None)) == [runs[2]]
    assert Run.objects.get(pk=late.pk).deleted_at is not None


def test_a_run_of_another_project_is_none_of_these(world: World, runs: list[Run]) -> None:
    foreign = actions.submit(project=scene.project("Elsewhere"), spec=scene.SPEC, user=world.owner, name="foreign")
    for number in (foreign.pk, 2**62):
        answer = send(world, action="cancel", runs=[runs[0].pk, number])
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"loc": ["runs", 1], "msg": f"There is no run {number} in alpha."}]
    assert statuses(runs) == [Status.QUEUED] * 3


@pytest.mark.parametrize(
    "body",
    [
        {"action": "cancel"}, {"action": "cancel", "runs": []}, {"action": "cancel", "runs": [1], "matching": {}},
        {"action": "tag", "runs": [1]}, {"action": "cancel", "tag": "x", "runs": [1]}, {"action": "train", "runs": [1]},
        {"action": "cancel", "runs": [True]}, {"action": "cancel", "runs": [2**63]},
        {"action": "tag", "tag": " ", "runs": [1]},
        {"action": "cancel", "matching": {"q": "status ="}, "dry_run": True},
    ],
)  # fmt: skip
def test_what_says_too_little_or_too_much_is_refused(body: dict[str, Any], world: World) -> None:
    assert send(world, **body).status_code == 422
