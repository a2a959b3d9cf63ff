"""Runs beyond one page, over HTTP: a file, groups, saved views, and runs side by side."""

from __future__ import annotations

import csv
import io
from urllib.parse import urlencode

import pyarrow.parquet as parquet
import pytest

from tests.api.world import World, post
from tests.runs import scene
from webapp.api.schemas.tables import ViewChanges
from webapp.metrics import store
from webapp.metrics.points import Points
from webapp.runs import actions
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def runs(world: World) -> list[Run]:
    made = [
        actions.submit(project=world.project, spec={**scene.SPEC, "seed": seed}, user=world.owner, name=name, tags=tags)
        for name, seed, tags in (("a", 0, ["x"]), ("b", 0, ["x", "y"]), ("c", 1, []))
    ]
    for run, value in zip(made, (1.0, 2.0, 5.0), strict=True):
        store.append(run.pk, {"loss": Points.of([0, 1], [7.0, value], [1.0, 2.0])})
    return made


def get(world: World, path: str, role: str = "viewer"):
    return world.client(role).get(f"/api/v1{path}")


def test_a_file_has_the_order_of_the_list(world: World, runs: list[Run]) -> None:
    query = "/runs/export?project=alpha&sort=-metric.loss&columns=metrics.loss.max,params.seed&columns=loss"
    rows = list(csv.DictReader(io.StringIO(b"".join(get(world, query).streaming_content).decode())))
    listed = get(world, "/runs?project=alpha&sort=-metric.loss").json()["items"]
    assert [int(row["id"]) for row in rows] == [run["id"] for run in listed]
    assert [(row["loss"], row["metrics.loss.max"], row["params.seed"]) for row in rows] == [
        ("5.0", "7.0", "1"), ("2.0", "7.0", "0"), ("1.0", "7.0", "0"),
    ]  # fmt: skip
    answer = get(world, f"{query}&format=parquet&q=params.seed+%3D+1")
    assert answer["Content-Type"] == "application/vnd.apache.parquet"
    found = parquet.read_table(io.BytesIO(b"".join(answer.streaming_content)))
    assert found.column("params.seed").to_pylist() == [1.0]


@pytest.mark.parametrize("query", ["format=xlsx", "sort=tags", "q=status+%3D", "status=none", "colums=x"])
def test_a_file_that_can_not_be_is_refused(world: World, query: str) -> None:
    assert get(world, f"/runs/export?project=alpha&{query}").status_code == 422


@pytest.mark.parametrize("column", ["params.", 'metrics."a', "Facts..x", "metrics.a b"])
def test_a_column_that_begins_as_a_path_and_is_none_is_refused(world: World, column: str) -> None:
    for ask in ("/runs/export?", "/runs/groups?group=status&"):
        refused = get(world, f"{ask}project=alpha&{urlencode({'columns': f'name,{column}'})}")
        assert refused.status_code == 422, ask
        assert [(error["loc"], repr(column) in error["msg"]) for error in refused.json()["errors"]] == [
            (["columns"], True)
        ]


def test_groups_and_the_query_of_each(world: World, runs: list[Run]) -> None:
    query = "/runs/groups?project=alpha&group=params.seed,status&columns=loss,status&sort=key"
    found = get(world, query).json()
    assert found["is_more"] is False
    assert [(one["values"], one["count"]) for one in found["items"]] == [
        ({"params.seed": 0, "status": "queued"}, 2), ({"params.seed": 1, "status": "queued"}, 1),
    ]  # fmt: skip
    assert found["items"][0]["metrics"]["loss"] == pytest.approx(
        {"runs": 2, "mean": 1.5, "std": 0.5**0.5, "min": 1.0, "max": 2.0}
    )
    assert found["items"][1]["metrics"]["loss"]["std"] is None
    for one in found["items"]:
        listed = world.client("viewer").get("/api/v1/runs", {"project": "alpha", "q": one["query"]}).json()["items"]
        assert len(listed) == one["count"]


def test_groups_without_columns_tell_the_metric_they_are_sorted_by_else_the_usual_ones(
    world: World, runs: list[Run]
) -> None:
    def told(query: str = "") -> list[str]:
        return list(get(world, f"/runs/groups?project=alpha&group=status{query}").json()["items"][0]["metrics"])

    assert told() == ["loss"]
    for name in ("a", "eval/accuracy", "eval/loss", "b"):
        store.append(runs[0].pk, {name: Points.of([0], [1.0], [1.0])})
    assert told() == ["eval/loss", "eval/accuracy"]
    assert told("&sort=-max:metrics.loss.max") == ["metrics.loss.max"]
    assert told("&columns=status") == []


@pytest.mark.parametrize("query", ["", "&group=metrics.loss", "&group=a,b,c,d", "&group=status&sort=loss"])
def test_groups_that_can_not_be_are_refused(world: World, query: str) -> None:
    assert get(world, f"/runs/groups?project=alpha{query}").status_code == 422


def test_groups_hold_nothing_of_other_projects(world: World, runs: list[Run]) -> None:
    assert get(world, "/runs/groups?group=status", "stranger").json()["items"] == []


def test_views_are_made_changed_and_deleted(world: World) -> None:
    editor = world.client("editor")
    body = {"name": "mine", "q": "lora", "columns": ["status", "loss"], "group": "params.seed", "is_default": True}
    view = post(editor, "/projects/alpha/views", body).json()
    assert {name: view[name] for name in body} == body
    assert view["url"].endswith(f"/p/alpha/runs/views/{view['id']}/")
    changed = post(editor, f"/projects/alpha/views/{view['id']}", {"name": "ours", "columns": []}, "PATCH").json()
    assert (changed["name"], changed["columns"], changed["q"], changed["is_default"]) == ("ours", [], "lora", True)
    assert [one["name"] for one in get(world, "/projects/alpha/views").json()["items"]] == ["ours"]
    assert editor.delete(f"/api/v1/projects/alpha/views/{view['id']}").status_code == 204
    assert get(world, f"/projects/alpha/views/{view['id']}").status_code == 404


@pytest.mark.parametrize(
    ("wrong", "loc"),
    [({"name": ""}, "name"), ({"q": "status ="}, "q"), ({"group": "metrics.loss"}, "group"), ({"colour": 1}, "colour"),
     ({"columns": ["x"] * 41}, "columns"), ({"columns": [""]}, "columns")],
)  # fmt: skip
def test_a_view_that_can_not_be_names_the_field(world: World, wrong: dict[str, object], loc: str) -> None:
    answer = post(world.client("editor"), "/projects/alpha/views", {"name": "mine", **wrong})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][0] == loc
    view = f"/projects/alpha/views/{world.view.pk}"
    assert post(world.client("editor"), view, wrong, "PATCH").status_code == 422


def test_a_view_of_one_project_is_not_below_another(world: World) -> None:
    client = world.client("stranger")
    assert client.get(f"/api/v1/projects/beta/views/{world.view.pk}").status_code == 404
    assert get(world, f"/projects/alpha/views/{2**70}").status_code == 404


def test_runs_side_by_side(world: World, runs: list[Run]) -> None:
    numbers = ",".join(str(run.pk) for run in (runs[2], runs[0]))
    found = get(world, f"/compare/diff?runs={numbers},999999&baseline={runs[0].pk}&metric=loss").json()
    assert (found["runs"], found["baseline"], found["missing"]) == ([runs[2].pk, runs[0].pk], runs[0].pk, [999999])
    settings = {one["path"]: one for one in found["settings"]}
    assert (settings["seed"]["values"], settings["seed"]["is_same"]) == ([1, 0], False)
    assert settings["model.name"]["is_same"]
    last = next(one for one in found["metrics"] if one["aggregate"] == "last")
    assert (last["values"], last["differences"], last["best"]) == ([5.0, 1.0], [4.0, None], [runs[0].pk])
    assert get(world, f"/compare/diff?runs={numbers}", "stranger").json()["runs"] == []
    assert get(world, "/compare/diff?runs=x").status_code == 422


def test_a_new_name_alone_does_not_write_back_what_was_shown_when_the_view_was_read() -> None:
    assert not ViewChanges(name="ours", is_default=True).changes_shown
    assert ViewChanges(columns=[]).changes_shown and ViewChanges(q="").changes_shown
