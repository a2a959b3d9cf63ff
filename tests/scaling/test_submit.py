"""Whoever queues a fit of runs, its query is looked up; what was found stays with the run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs import scene as runs
from tests.scaling import scene
from webapp.accounts.errors import Invalid
from webapp.runs import actions
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


def submit(**changes: Any) -> Run:
    return actions.submit(project=runs.project(), spec=scene.fit(**changes), user=runs.person())


def refused(run: Run | None = None, **changes: Any) -> list[str]:
    with pytest.raises(Invalid) as caught:
        submit(**changes) if run is None else actions.clone(run, runs.person(), changes)
    return [".".join(map(str, error["loc"])) for error in caught.value.errors]


def test_a_fit_is_queued_with_the_points_that_its_query_finds() -> None:
    found = scene.grid()
    kept = submit().spec["points"]
    assert kept["query"] == "ladder"
    assert kept["runs"] == [run.pk for run in found]
    assert kept["columns"] == {
        "N": [size for size in scene.SIZES for _ in scene.TOKENS],
        "D": list(scene.TOKENS) * 3,
        "loss": [scene.truth(size, tokens) for size in scene.SIZES for tokens in scene.TOKENS],
    }


def test_the_columns_are_those_that_law_filter_formulas_holdout_and_settings_read() -> None:
    for number, run in enumerate(scene.grid()):
        Run.objects.filter(pk=run.pk).update(spec={**run.spec, "corpus": "pile", "vocab": 10, "layers": number, "u": 1})
    spec = submit(
        points={
            "compute": {"body": "N - vocab", "N": "body * 1"},
            "filter": "corpus == 'pile' and `spec.layers` >= 0",
            "setting_columns": ["u"],
        },
        holdout={"largest": 1, "by": "layers"},
        bootstrap={"resamples": 0, "unit": "setting"},
    ).spec
    assert set(spec["points"]["columns"]) == {"N", "D", "loss", "vocab", "corpus", "spec.layers", "u", "layers"}


def test_a_second_law_reads_the_same_points_or_looks_up_its_own() -> None:
    for run in scene.grid():
        Run.objects.filter(pk=run.pk).update(spec={**run.spec, "error": 0.5})
    second = {"law": {"name": "overtraining", "form": "error"}}
    same = submit(then=second).spec
    assert set(same["points"]["columns"]) == {"N", "D", "loss", "error"}
    own = submit(then={**second, "points": {"source": "runs", "query": "outside"}}).spec
    assert set(own["points"]["columns"]) == {"N", "D", "loss"}
    assert set(own["then"]["points"]["columns"]) == {"loss", "error"}
    assert refused(then={**second, "points": {"source": "runs", "query": "nothing"}}) == ["spec.then.points.query"]


def test_refusals_name_the_field_of_the_spec() -> None:
    assert refused() == ["spec.points.query"]
    scene.grid()
    assert refused(points={"x": {"loss": "no/such"}}) == ["spec.points.x.loss"]
    assert Run.objects.filter(kind="scaling_fit").count() == 0


@pytest.mark.parametrize(
    ("changes", "is_enough"),
    [
        ({"holdout": {"largest": 2, "by": "N"}}, True),
        ({"holdout": {"largest": 3, "by": "N"}}, False),
        ({"holdout": {"largest": 3, "by": "N"}, "few_points": "warn"}, True),
        ({"holdout": {"where": "N > 1e7"}}, False),
        ({"points": {"filter": "N < 1e7"}}, False),
        ({"points": {"drop_highest": 2}}, True),
        ({"points": {"drop_highest": 3}}, False),
        ({"law": {"name": "chinchilla", "tied": True}, "points": {"filter": "N < 1e7"}}, True),
        ({"points": {"filter": "N"}}, False),
    ],
)
def test_too_few_points_are_refused_before_a_worker_has_them(changes: dict[str, Any], is_enough: bool) -> None:
    scene.grid()
    if is_enough:
        assert submit(**changes).status == "queued"
    else:
        assert refused(**changes) == ["spec.points.query"]


def test_a_clone_fits_the_points_that_were_fitted() -> None:
    scene.grid()
    run = submit()
    scene.outside(1e8, 1e9)
    again = actions.clone(run, runs.person(), {"seed": 1})
    assert again.spec["points"] == run.spec["points"]
    assert again.spec["seed"] == 1


def test_a_clone_that_asks_otherwise_is_looked_up_anew() -> None:
    scene.grid()
    run = submit()
    tenth = scene.outside(1e8, 1e9)
    for points in ({"query": "outside"}, {"x": {"loss": "max:eval/loss"}}, {"columns": None, "runs": None}):
        again = actions.clone(run, runs.person(), {"points": points})
        assert again.spec["points"]["runs"][-1] == tenth.pk


def test_a_clone_whose_law_reads_what_is_not_kept_is_told_so() -> None:
    scene.grid()
    run = submit()
    assert refused(run, law={"name": "parscale"}) == ["spec.points.columns"]


def test_points_of_a_table_are_left_alone() -> None:
    table = {"source": "table", "columns": {"N": [1.0], "D": [1.0], "loss": [1.0]}}
    run = actions.submit(project=runs.project(), spec={**scene.fit(), "points": table}, user=runs.person())
    assert run.spec["points"]["columns"] == table["columns"]
