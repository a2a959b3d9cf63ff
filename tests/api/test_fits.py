"""Fits over REST: made, read, revised, kept current, exported, asked what they foresee."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import pytest

from tests.api.world import World, post
from tests.scaling import scene
from webapp.runs.models import Run
from webapp.scaling import queries
from webapp.scaling.models import Fit, Revision


def ask(world: World, path: str, body: Any = None, method: str = "POST", role: str = "owner") -> Any:
    return post(world.client(role), path, b"" if body is None else body, method)


def read(world: World, path: str, role: str = "viewer") -> Any:
    reply = world.client(role).get(f"/api/v1{path}")
    assert reply.status_code == 200, reply.content
    return reply.json()


def create(world: World, **changes: Any) -> dict[str, Any]:
    reply = ask(world, "/fits", {"project": "alpha", "spec": scene.fit(), **changes})
    assert reply.status_code == 201, reply.content
    return dict(reply.json())


def locs(reply: Any) -> list[str]:
    assert reply.status_code == 422, reply.content
    return [".".join(map(str, error["loc"])) for error in reply.json()["errors"]]


def done(fit_id: int) -> Revision:
    return scene.fitted(queries.pending(Fit.objects.get(pk=fit_id)))


def test_a_fit_is_told_with_its_query_its_pending_and_its_latest_revision(world: World) -> None:
    scene.grid(world.project)
    fit = create(world, name="law", is_kept_current=True)
    assert (fit["name"], fit["project"], fit["is_kept_current"], fit["notice"]) == ("law", "alpha", True, "")
    assert fit["spec"]["points"]["query"] == "ladder"
    assert fit["spec"]["points"]["columns"] is None
    assert fit["latest"] is None
    assert (fit["pending"]["number"], fit["pending"]["status"]) == (1, "queued")
    done(fit["id"])
    told = read(world, f"/fits/{fit['id']}")
    assert told["pending"] is None
    latest = told["latest"]
    assert (latest["status"], latest["points"], latest["held_out"], latest["error"]) == ("succeeded", 9, 0, None)
    assert latest["parameters"] == pytest.approx(scene.TRUTH, rel=1e-3)
    run = read(world, latest["run_url"].removeprefix("/api/v1"))
    assert run["tags"] == [f"fit-{fit['id']}"]
    assert run["result"]["parameters"] == latest["parameters"]


def test_the_kind_may_be_left_out_and_a_bad_spec_is_told_field_by_field(world: World) -> None:
    spec = scene.table()
    del spec["kind"]
    assert create(world, spec=spec)["spec"]["kind"] == "scaling_fit"
    body = {"project": "alpha", "spec": scene.fit()}
    assert locs(ask(world, "/fits", body)) == ["spec.points.query"]
    assert locs(ask(world, "/fits", {**body, "spec": {**spec, "law": {"name": "chinchila"}}})) == ["spec.law.name"]
    assert locs(ask(world, "/fits", {**body, "spec": spec, "is_kept_current": True})) == ["is_kept_current"]
    assert ask(world, "/fits", {**body, "project": "nowhere"}).status_code == 404


def test_runs_that_are_submitted_are_looked_up_too(world: World) -> None:
    scene.grid(world.project)
    reply = ask(world, "/runs", {"project": "alpha", "spec": scene.fit()})
    assert reply.status_code == 201, reply.content
    assert len(reply.json()["spec"]["points"]["runs"]) == 9
    assert locs(ask(world, "/runs", {"project": "alpha", "spec": scene.fit(points={"query": "nothing"})})) == [
        "spec.points.query"
    ]


def test_lists_are_of_ones_own_projects_newest_first_page_by_page(world: World) -> None:
    ids = [create(world, spec=scene.table())["id"] for _ in range(3)]
    stranger = world.client("stranger").get("/api/v1/fits")
    assert stranger.json() == {"items": [], "next": None}
    first = read(world, "/fits?limit=2")
    assert [fit["id"] for fit in first["items"]] == ids[:0:-1]
    second = read(world, f"/fits?limit=2&cursor={first['next']}&project=alpha")
    assert ([fit["id"] for fit in second["items"]], second["next"]) == ([ids[0]], None)


def test_a_page_of_fits_costs_a_fixed_number_of_queries(world: World, django_assert_max_num_queries: Any) -> None:
    client = world.client("viewer")
    for _ in range(6):
        create(world, spec=scene.table())
    with django_assert_max_num_queries(8):
        assert len(client.get("/api/v1/fits").json()["items"]) == 6


def test_revisions_are_listed_newest_first(world: World) -> None:
    fit = world.done_fit
    for number in (2, 3):
        assert ask(world, f"/fits/{fit.pk}/revise").json()["number"] == number
    first = read(world, f"/fits/{fit.pk}/revisions?limit=2")
    assert [revision["number"] for revision in first["items"]] == [3, 2]
    rest = read(world, f"/fits/{fit.pk}/revisions?limit=2&cursor={first['next']}")
    assert [revision["status"] for revision in rest["items"]] == ["succeeded"]
    assert rest["next"] is None


def test_an_edit_changes_what_is_sent(world: World) -> None:
    fit = create(world, spec=scene.table(), name="before")
    path = f"/fits/{fit['id']}"
    assert ask(world, path, {"name": "after"}, "PATCH").json()["name"] == "after"
    edited = ask(world, path, {"spec": scene.table(8)}, "PATCH").json()
    assert (edited["name"], edited["pending"]["number"]) == ("after", 2)
    assert locs(ask(world, path, {"name": ""}, "PATCH")) == ["name"]
    assert locs(ask(world, path, {"is_kept_current": True}, "PATCH")) == ["is_kept_current"]


def test_a_deleted_fit_is_gone_and_its_waiting_run_cancelled(world: World) -> None:
    fit = world.fit
    assert ask(world, f"/fits/{fit.pk}", None, "DELETE").status_code == 204
    assert world.client("owner").get(f"/api/v1/fits/{fit.pk}").status_code == 404
    assert Run.objects.get(revision__fit=fit).status == "cancelled"


def test_a_stranger_is_told_of_a_fit_as_of_one_that_is_not(world: World) -> None:
    fit = world.fit
    hidden = world.client("stranger").get(f"/api/v1/fits/{fit.pk}").json()["detail"]
    absent = world.client("stranger").get("/api/v1/fits/99999999999999999999").json()["detail"]
    assert hidden == f"There is no fit {fit.pk}."
    assert absent == "There is no fit 99999999999999999999."


def rows_of(world: World, fit_id: int) -> list[dict[str, str]]:
    reply = world.client("viewer").get(f"/api/v1/fits/{fit_id}/points.csv")
    assert reply.status_code == 200
    assert reply["Content-Disposition"].startswith("attachment")
    return list(csv.DictReader(io.StringIO(b"".join(reply.streaming_content).decode())))


def test_points_are_exported_with_prediction_and_residual_held_out_ones_too(world: World) -> None:
    found = scene.grid(world.project)
    fit = create(world, spec=scene.fit(holdout={"largest": 2, "by": "D"}))
    revision = done(fit["id"])
    rows = rows_of(world, fit["id"])
    assert [row["is_held_out"] for row in rows] == ["false"] * 7 + ["true"] * 2
    assert sorted(int(row["run"]) for row in rows) == [run.pk for run in found]
    parameters = revision.run.result["parameters"]
    for row in rows:
        size, tokens = float(row["N"]), float(row["D"])
        expected = parameters["E"] + parameters["A"] * size ** -parameters["alpha"]
        expected += parameters["B"] * tokens ** -parameters["beta"]
        assert float(row["loss"]) == scene.truth(size, tokens)
        assert float(row["predicted"]) == pytest.approx(expected, rel=1e-9)
        assert float(row["residual"]) == pytest.approx(math.log(float(row["loss"]) / expected), abs=1e-9)


def test_a_law_through_optima_exports_its_points_without_predictions(world: World) -> None:
    spec = {**scene.table(), "law": {"name": "envelope"}, "few_points": "warn"}
    fit = create(world, spec=spec)
    done(fit["id"])
    rows = rows_of(world, fit["id"])
    assert len(rows) == 9
    assert {row["predicted"] for row in rows} == {""}
    assert [float(row["loss"]) for row in rows] == scene.table()["points"]["columns"]["loss"]


def test_predictions_are_those_of_the_law_and_without_resamples_have_no_band(world: World) -> None:
    at = {"N": 1e9, "D": 2e10}
    reply = ask(world, f"/fits/{world.done_fit.pk}/predict", {"points": [at, {"N": 4e6, "D": 4e7}]}, role="viewer")
    told = reply.json()
    far, near = told["items"]
    assert (told["revision"], told["law"], told["target"]) == (1, "chinchilla", "loss")
    assert (far["at"], far["band"], far["interval"]) == (at, None, None)
    assert told["notice"]
    assert far["value"] == pytest.approx(scene.truth(**at), rel=1e-3)
    ratio = 1e9 * 2e10 / (max(scene.SIZES) * max(scene.TOKENS))
    assert far["extrapolation"] == pytest.approx(ratio)
    assert near["extrapolation"] == 1


def test_a_prediction_through_the_api_is_that_of_the_run(world: World) -> None:
    columns = scene.table()["points"]["columns"]
    noisy = [loss * (1 + 0.01 * (-1) ** place) for place, loss in enumerate(columns["loss"])]
    at = [{"N": 1e8, "D": 2e9}, {"N": 4e6, "D": 4e7}]
    spec = {
        **scene.table(),
        "points": {"source": "table", "columns": {**columns, "loss": noisy}},
        "bootstrap": {"resamples": 50},
        "predict": at,
    }
    fit = create(world, spec=spec)
    expected = done(fit["id"]).run.result["predictions"]
    told = ask(world, f"/fits/{fit['id']}/predict", {"points": at}).json()
    assert told["notice"] == ""
    for one, other in zip(told["items"], expected, strict=True):
        for name in ("value", "band", "interval", "extrapolation"):
            assert one[name] == pytest.approx(other[name], rel=1e-9), name


def test_what_cannot_be_foreseen_is_refused(world: World) -> None:
    path = f"/fits/{world.done_fit.pk}/predict"
    assert locs(ask(world, path, {"points": [{"N": 1e9, "D": 1e9}, {"N": 1e9}]})) == ["points.1.D"]
    assert locs(ask(world, path, {"points": []})) == ["points"]
    waiting = ask(world, f"/fits/{world.fit.pk}/predict", {"points": [{"N": 1e9, "D": 1e9}]})
    assert waiting.status_code == 409
    assert waiting.json()["detail"] == f"No revision of fit {world.fit.pk} has succeeded yet."
