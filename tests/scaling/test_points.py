"""Runs become points: every usual column, places that were asked for, refusals that say what to do."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gpu_jobs import ladder
from gpu_jobs.points import RunPoints
from tests.runs import scene as runs
from tests.scaling import scene
from webapp.accounts.errors import Invalid
from webapp.metrics import actions as metrics
from webapp.runs import actions
from webapp.runs.models import Run
from webapp.scaling.places import USUAL
from webapp.scaling.points import NothingYet, hash_of, resolve

pytestmark = pytest.mark.django_db
SHAPE = ladder.shape(20_000)
MODEL = {"source": "config", "architecture": "llama", "layers": SHAPE.layers, "width": SHAPE.width,
         "heads": SHAPE.heads, "ffn": SHAPE.ffn, "context": 32}  # fmt: skip
SPEC: dict[str, Any] = {
    "kind": "pretrain",
    "model": MODEL,
    "data": {"source": "builtin", "name": "language-reference"},
    "optimizer": {"name": "adamw", "lr": 0.003},
    "steps": 50,
    "batch_size": 8,
    "sequence_length": 32,
    "seed": 5,
}


def points(**fields: Any) -> RunPoints:
    return RunPoints(query=fields.pop("query", "ladder"), **fields)


def column(found: RunPoints, name: str) -> list[Any]:
    assert found.columns is not None
    return found.columns[name]


def refused(where: Any, asked: RunPoints, needs: dict[str, str]) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        resolve(where, asked, needs)
    return [(".".join(map(str, error["loc"])), error["msg"]) for error in caught.value.errors]


def test_every_usual_column_has_the_value_that_the_run_was_planned_and_ended_with() -> None:
    run = scene.trained(SPEC, loss=3.25)
    found = resolve(run.project, points())
    tokens, embeddings = 50 * 8 * 32, 258 * SHAPE.width
    norms = (2 * SHAPE.layers + 1) * SHAPE.width
    expected = {
        "N": SHAPE.parameters,
        "N_total": SHAPE.parameters + norms + embeddings,
        "D": tokens,
        "C": 6 * SHAPE.parameters * tokens,
        "flops": 6 * (SHAPE.parameters + embeddings) * tokens + 12 * SHAPE.layers * SHAPE.width * 32 * tokens,
        "loss": 3.25,
        "train_loss": 3.15,
        "lr": 0.003,
        "steps": 50,
        "batch_size": 8,
        "batch_tokens": 8 * 32,
        "tokens_per_sample": 32,
        "hours": 2.0,
        "data": "language-reference",
        "method": "full",
        "seed": 5,
    }
    tied = run.facts["model"]["config"]["tie_word_embeddings"]
    expected["N_total"] += 0 if tied else embeddings
    expected["N_trainable"] = expected["N_total"]
    assert set(expected) == set(USUAL)
    derived = {"C": column(found, "N")[0] * column(found, "D")[0] * 6}  # by the job, where nobody tells another
    assert {name: (found.columns or {}).get(name, [derived.get(name)])[0] for name in USUAL} == expected
    assert found.runs == [run.pk]


def test_only_runs_of_this_project_that_have_succeeded_and_match_are_points() -> None:
    good = scene.outside(1e6, 1e7)
    for status in ("failed", "diverged", "cancelled"):
        run = actions.create_external(project=good.project, user=None, name="ladder", spec={"N": 1, "D": 1})
        actions.finish_external(run, status)
    actions.create_external(project=good.project, user=None, name="ladder goes on", spec={"N": 1, "D": 1})
    scene.outside(1e6, 1e7, where=runs.project("Beta"))
    actions.delete(scene.outside(2e6, 1e7))
    actions.update(scene.outside(3e6, 1e7), tags=["another"])
    assert resolve(good.project, points()).runs == [good.pk]


def test_what_an_external_run_says_of_itself_fills_columns_of_any_name() -> None:
    run = scene.outside(1e6, 1e7, corpus="pile", experts=4)
    metrics_of = {"error": {"step": [1, 2], "value": [0.9, 0.4], "time": [1.0, 2.0]}}
    late = actions.create_external(project=run.project, user=None, name="l", tags=["ladder"], spec={"N": 2e6, "D": 1e7})
    metrics.log_external(late, metrics_of)
    actions.finish_external(late, "succeeded")
    needs = dict.fromkeys(("N", "D", "loss", "corpus", "experts", "error"), "")
    found = resolve(run.project, points(), needs)
    assert found.columns == {
        "N": [1e6, 2e6],
        "D": [1e7, 1e7],
        "loss": [scene.truth(1e6, 1e7), None],
        "corpus": ["pile", None],
        "experts": [4.0, None],
        "error": [None, 0.4],
    }


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("eval/loss", 2.0), ("last:eval/loss", 2.0), ("min:eval/loss", 2.0), ("max:eval/loss", 3.0),
        ("first:eval/loss", 3.0), ("mean:eval/loss", 2.5), ("spec.config.depth", 12.0),
        ("spec.config.widths.1", 64.0), ("result.score.accuracy", 0.5), ("seed", 7.0),
    ],
)  # fmt: skip
def test_a_column_stands_where_it_was_asked_to_be(place: str, expected: float) -> None:
    run = scene.outside(1e6, 1e7, loss=2.0, config={"depth": 12, "widths": [32, 64]}, seed=7)
    found = resolve(run.project, points(x={"y": place}), {"N": ""})
    assert column(found, "y") == [expected]


def test_a_column_is_asked_for_by_the_name_of_another_usual_one() -> None:
    run = scene.trained(SPEC, 3.0)
    found = resolve(run.project, points(x={"N": "N_total"}), {"N": "", "D": ""})
    assert column(found, "N") == [run.facts["parameters"]["total"]]


def test_what_a_law_calls_steps_and_batch_is_told_by_its_unit() -> None:
    scene.trained(SPEC, 3.0)
    found = resolve(runs.project(), points(), {"S": "steps", "B": "batch, in tokens"})
    assert found.columns == {"S": [50.0], "B": [256.0]}
    assert refused(runs.project(), points(), {"S": "share of zeros"})[0][0] == "points.x.S"


def test_a_model_that_was_cut_smaller_has_no_size_of_its_config() -> None:
    run = scene.trained(SPEC, 3.0)
    run.facts["model"]["reshaped"] = True
    run.save()
    assert refused(run.project, points(), {"N": ""}) == [
        (
            "points.x.N",
            "The run that was found has no N: set points.x.N to the metric or the facts., result. or spec. field that "
            "is it, or to N_total.",
        )
    ]


def test_no_number_is_no_value() -> None:
    run = scene.outside(1e6, 1e7, loss=float("nan"), bad="NaN", huge=10**400, empty="", nested={"a": 1}, yes=True)
    scene.outside(2e6, 1e7, bad=1, huge=2, empty=3, nested=4, yes=False)
    needs = dict.fromkeys(("loss", "bad", "huge", "empty", "nested", "yes"), "")
    found = resolve(run.project, points(), needs)
    assert {name: cells[0] for name, cells in (found.columns or {}).items()} == {
        "loss": None, "bad": None, "huge": None, "empty": None, "nested": None, "yes": 1.0,
    }  # fmt: skip


def test_refusals_say_what_to_do() -> None:
    where = runs.project()
    assert refused(where, points(), {"N": ""}) == [
        ("points.query", "No run that has succeeded is found by 'ladder': the project has none yet, or widen it.")
    ]
    scene.outside(1e6, 1e7)
    scene.outside(2e6, 1e7)
    assert refused(where, points(x={"loss": "vali/loss"}), {"N": "", "loss": "", "P": "bits"}) == [
        ("points.x.loss", "None of the 2 runs that were found has 'vali/loss': set points.x.loss to what they have."),
        ("points.x.P", "None of the 2 runs that were found has P: set points.x.P to the metric or the facts., result. "
                       "or spec. field that is it."),
    ]  # fmt: skip
    assert refused(where, points(x={"loss": " "}), {})[0][0] == "points.x.loss"


def test_a_look_that_finds_nothing_may_find_more_later_and_a_bad_place_never_will() -> None:
    with pytest.raises(NothingYet):
        resolve(runs.project(), points())
    with pytest.raises(Invalid) as caught:
        resolve(runs.project(), points(x={"N": ""}))
    assert not isinstance(caught.value, NothingYet)


def test_compute_that_some_runs_tell_is_six_n_d_for_the_others() -> None:
    scene.outside(1e6, 1e7, C=5e13)
    scene.outside(2e6, 1e7)
    assert column(resolve(runs.project(), points(), {"N": "", "D": "", "C": ""}), "C") == [5e13, 1.2e14]


def test_compute_is_left_to_the_job_where_no_run_tells_it_and_refused_where_it_cannot_be_made() -> None:
    scene.outside(1e6, 1e7)
    found = resolve(runs.project(), points(), {"C": "FLOPs"})
    assert found.columns == {"N": [1e6], "D": [1e7]}
    Run.objects.update(spec={"kind": "external", "N": 1e6})
    assert refused(runs.project(), points(), {"C": "FLOPs"})[0][0] == "points.x.C"


def test_the_hash_tells_other_points_and_nothing_else() -> None:
    first = scene.outside(1e6, 1e7)
    before = resolve(first.project, points())
    assert hash_of(before) == hash_of(resolve(first.project, points()))
    assert hash_of(before) == hash_of(RunPoints.model_validate(before.model_dump(mode="json")))
    scene.outside(2e6, 1e7)
    assert hash_of(before) != hash_of(resolve(first.project, points()))


def test_ten_thousand_runs_cost_two_queries() -> None:
    first = scene.trained(SPEC, 3.0)
    with connection.cursor() as cursor:
        columns = [field.column for field in Run._meta.concrete_fields if field.column != "id"]
        names = ", ".join(f'"{name}"' for name in columns)
        cursor.execute(
            f"INSERT INTO runs ({names}) SELECT {names} FROM runs, generate_series(2, 10000) WHERE id = %s", [first.pk]
        )
        cursor.execute(
            "INSERT INTO series (run_id, name, tail, count, finite_count, total, last) "
            "SELECT id, 'eval/loss', '{}', 1, 1, id, id FROM runs WHERE id <> %s", [first.pk]
        )  # fmt: skip
    where = first.project
    with CaptureQueriesContext(connection) as queries:
        found = resolve(where, points(), {"N": "", "D": "", "loss": ""})
    assert len(queries) == 2
    assert len(found.runs or []) == 10_000
    assert set(column(found, "N")) == {float(SHAPE.parameters)}
    assert column(found, "loss")[1:] == [float(number) for number in (found.runs or [])[1:]]
