"""Studies in the database: started together, found again, analysed from their runs alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from tests.runs import scene as runs
from tests.sweeps import scene
from tests.sweeps.protocols import staged
from webapp.accounts.errors import Invalid
from webapp.runs.models import Run
from webapp.sweeps import registry, studies
from webapp.sweeps.models import Trial
from webapp.sweeps.protocols import autopeft, method_comparison, three_regime
from webapp.sweeps.states import SweepStatus
from webapp.sweeps.studies import Study

pytestmark = pytest.mark.django_db

FINETUNE = {**runs.SPEC, "kind": "finetune", "method": {"name": "lora"}}


def started(name: str, spec: dict[str, Any] = runs.SPEC, **knobs: Any) -> Study:
    entry = registry.entries("protocols")[name]
    checked = studies.knobs_of(entry, knobs)
    return studies.start(entry=entry, project=runs.project(), user=runs.person(), knobs=checked, spec=spec)


def test_a_search_may_weigh_its_score_against_trainable_parameters() -> None:
    """They are no metric that a run logs: it counts them before its first step."""
    study = started("autopeft", FINETUNE, trials=2, sampler="random")
    (sweep,) = study.sweeps
    for _ in range(3):
        for run in scene.waiting(scene.advanced(sweep)):
            scene.train(run, 2.0)
    trials = list(Trial.objects.filter(sweep=sweep))
    assert [trial.status for trial in trials] == ["succeeded", "succeeded"]
    assert [trial.values for trial in trials] == [[2.0, 10.0]] * 2  # the scene's runs count 10
    result = studies.analysed(study)
    assert isinstance(result, autopeft.Result)
    assert [point.trainable for point in result.front] == [10, 10]


def test_a_study_is_found_again_with_its_knobs_and_its_sweeps_in_order() -> None:
    study = started("algoperf", studies=2, trials=1)
    found = studies.study(runs.project(), study.group)
    assert found is not None
    assert found.knobs == study.knobs
    assert [sweep.pk for sweep in found.sweeps] == [sweep.pk for sweep in study.sweeps]
    assert studies.study_of(found.sweeps[-1]) == found


def test_studies_are_listed_newest_first_and_by_protocol() -> None:
    first, second = started("eval_variance", seeds=3), started("snr")
    assert [one.group for one in studies.studies(runs.project())] == [second.group, first.group]
    assert [one.group for one in studies.studies(runs.project(), "eval_variance")] == [first.group]
    assert studies.studies(runs.project("Other")) == []


def test_a_deleted_sweep_leaves_its_study() -> None:
    from webapp.sweeps import actions

    study = started("snr", sizes=["1x16", "1x32"])
    actions.delete(study.sweeps[0], runs.person())
    found = studies.study(runs.project(), study.group)
    assert found is not None and [sweep.pk for sweep in found.sweeps] == [study.sweeps[1].pk]
    actions.delete(study.sweeps[1], runs.person())
    assert studies.study(runs.project(), study.group) is None


def test_the_status_is_that_of_the_sweep_that_says_most() -> None:
    from webapp.sweeps import actions

    study = started("snr", sizes=["1x16", "1x32"])
    actions.stop(study.sweeps[0], runs.person())
    found = studies.study(runs.project(), study.group)
    assert found is not None and (found.status, found.is_live) == (SweepStatus.RUNNING, True)
    actions.stop(study.sweeps[1], runs.person())
    found = studies.study(runs.project(), study.group)
    assert found is not None and (found.status, found.is_live) == (SweepStatus.STOPPED, False)


def test_series_are_read_once_for_all_runs(django_assert_max_num_queries: Any) -> None:
    study = started("eval_variance", seeds=3)
    (sweep,) = study.sweeps
    waiting = scene.waiting(scene.advanced(sweep))
    for run in waiting:
        scene.train(run, 1.0)
    series = studies.series_of([run.pk for run in waiting])
    with django_assert_max_num_queries(2):
        assert [series(run.pk, "eval/loss").values.tolist() for run in waiting] == [[1.0]] * len(waiting)
    assert len(series(waiting[0].pk, "no/such").values) == 0


def test_a_comparison_reports_every_methods_best_rate_on_the_test_split() -> None:
    """One sweep: two methods at two rates, then both winners on test seeds; the analysis tells these."""
    study = started("method_comparison", FINETUNE, methods=["lora", "full"], seeds=2, factors=[1.0, 10.0])
    (sweep,) = study.sweeps
    scores = {("lora", True): 1.0, ("lora", False): 2.0, ("full", True): 3.0, ("full", False): 0.5}

    def loss(run: Run) -> float:
        return scores[run.spec["method"]["name"], run.spec["optimizer"]["lr"] < 5e-3] + run.spec["seed"] % 100 / 10

    scene.finish(sweep, loss)
    result = studies.analysed(study)
    assert isinstance(result, method_comparison.Result)
    first, second = result.ranking
    assert (first.method, first.score, first.seeds, first.tuned) == ("full", pytest.approx(0.55), 2, 0.5)
    assert (second.method, second.score, second.seeds, second.tuned) == ("lora", pytest.approx(1.05), 2, 1.0)
    assert (second.difference, second.verdict) == (pytest.approx(0.5), "worse")
    assert result.metric == "test/loss"
    assert sweep.end_reason == "All trials are over and the best of each method.name is reported."


def test_a_study_goes_on_with_what_its_runs_have_left(tmp_path: Path) -> None:
    study = staged.study(tmp_path)
    assert studies.next_of(study) == []
    with pytest.raises(Invalid, match="its runs are not over"):
        studies.go_on(study, runs.person())
    staged.finish(study.sweeps[0], tmp_path)
    study = cast(Study, studies.study(runs.project(), study.group))
    (sweep,) = studies.go_on(study, runs.person())
    assert (sweep.definition["spec"]["kind"], sweep.definition["trials"]) == ("evaluate", 4)
    again = cast(Study, studies.study(runs.project(), study.group))
    assert [one.pk for one in again.sweeps] == [study.sweeps[0].pk, sweep.pk]
    assert studies.protocol_of(sweep)["labels"] == {"part": "pairs"} and studies.protocol_of(sweep)["study"] == 2
    with pytest.raises(Invalid, match="nothing to go on with"):
        studies.go_on(again, runs.person())
    while scene.advanced(sweep).ended_at is None:
        for run in scene.waiting(sweep):
            assert run.inputs.count() == 2
            attempt = scene.begin(run)
            scene.log(attempt, "pair/connectivity", {0: -0.5})
            scene.log(attempt, "pair/similarity", {0: 0.5})
            scene.end(attempt)
    result = studies.analysed(cast(Study, studies.study(runs.project(), study.group)))
    assert isinstance(result, three_regime.Result)
    assert {cell.regime for cell in result.cells} == {"I"} and len(result.cells) == 4
    assert studies.next_of(cast(Study, studies.study(runs.project(), study.group))) == []


def test_a_protocol_without_a_second_stage_does_not_go_on() -> None:
    study = started("eval_variance", seeds=3)
    scene.finish(study.sweeps[0], lambda run: 1.0)
    study = cast(Study, studies.study(runs.project(), study.group))
    assert studies.next_of(study) == []
