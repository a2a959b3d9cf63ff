"""AlgoPerf on planted times: who wins, what a miss costs, medians over studies, one configuration for all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.protocols.study import PRETRAIN, Series, row
from webapp.accounts.errors import Invalid
from webapp.sweeps.protocols import algoperf

Study = dict[tuple[str, str, int], list[int | None]]  # (algorithm, workload, study) -> steps to target of each trial


def study(times: Study) -> tuple[list[Any], Series, dict[int, dict[str, Any]]]:
    """Loss 1 from the step on at which the target of 1.5 is met, else 2 for ever."""
    rows, series, labels = [], Series(), {}
    for sweep, ((algorithm, workload, number), trials) in enumerate(times.items(), 1):
        labels[sweep] = {"algorithm": algorithm, "workload": workload, "study": number}
        for trial, step in enumerate(trials):
            found = row({"optimizer.lr": 0.1 * (trial + 1)}, 1.0 if step else 2.0, sweep=sweep, trial=trial)
            series.add(found.run, "eval/loss", [1.0 if step and at >= step else 2.0 for at in range(1, 101)])
            rows.append(found)
    return rows, series, labels


def knobs(**changes: Any) -> algoperf.Knobs:
    given = {"name": "algoperf", "algorithms": ["a", "b"], "workloads": ["x", "y"], "targets": [1.5, 1.5], **changes}
    return algoperf.Knobs(**given)


def scores(result: algoperf.Result) -> dict[str, float]:
    return {one.algorithm: one.score for one in result.scores}


@pytest.mark.parametrize("clock", ["steps", "seconds"])
def test_the_score_is_the_mean_of_what_each_workload_leaves(clock: str) -> None:
    times: Study = {("a", "x", 1): [10], ("a", "y", 1): [40], ("b", "x", 1): [25], ("b", "y", 1): [20]}
    result = algoperf.analyse(knobs(clock=clock, studies=1), *study(times))
    # ratios: a 1 and 2, b 2.5 and 1; (4 - r) / 3
    assert scores(result) == pytest.approx({"a": (1 + 2 / 3) / 2, "b": (0.5 + 1) / 2})
    assert {(t.algorithm, t.workload): t.ratio for t in result.times} == {
        ("a", "x"): 1, ("a", "y"): 2, ("b", "x"): 2.5, ("b", "y"): 1,
    }  # fmt: skip


def test_missing_all_is_zero_and_a_sole_winner_is_one() -> None:
    times: Study = {("a", "x", 1): [10], ("a", "y", 1): [40], ("b", "x", 1): [None], ("b", "y", 1): [None]}
    result = algoperf.analyse(knobs(), *study(times))
    assert scores(result) == {"a": 1, "b": 0}
    assert [t.time for t in result.times if t.algorithm == "b"] == [None, None]


def test_the_fastest_trial_counts_and_the_median_of_studies() -> None:
    times: Study = {("a", "x", 1): [50, 30, None], ("a", "x", 2): [None, 80], ("a", "x", 3): [None, None]}
    result = algoperf.analyse(knobs(clock="steps", studies=3), *study(times))
    (found,) = result.times
    assert (found.time, found.hits, found.studies) == (80, 2, 3)
    times["a", "x", 2] = [None]  # two of three studies missed
    assert algoperf.analyse(knobs(clock="steps"), *study(times)).times[0].time is None


def test_slower_than_the_largest_ratio_is_as_bad_as_a_miss() -> None:
    times: Study = {("a", "x", 1): [10], ("b", "x", 1): [50]}
    assert scores(algoperf.analyse(knobs(max_ratio=4), *study(times)))["b"] == 0


def test_one_configuration_for_all_workloads_can_not_be_the_best_of_each() -> None:
    """The first point is fast on x alone, the second on y alone, the third is decent on both."""
    times: Study = {("a", "x", 1): [10, None, 20], ("a", "y", 1): [None, 10, 20]}
    free = algoperf.analyse(knobs(clock="steps", algorithms=["a"]), *study(times))
    tied = algoperf.analyse(knobs(clock="steps", algorithms=["a"], calibrated=True), *study(times))
    assert [t.time for t in free.times] == [10, 10]
    assert [t.time for t in tied.times] == [20, 20]


def test_without_targets_the_first_algorithm_sets_them() -> None:
    times: Study = {("a", "x", 1): [10], ("a", "x", 2): [20], ("b", "x", 1): [5]}
    result = algoperf.analyse(knobs(targets=[]), *study(times))
    assert [(t.workload, t.target, t.origin) for t in result.targets] == [("x", 1.0, "reference")]


def test_studies_that_have_not_begun_are_named() -> None:
    result = algoperf.analyse(knobs(studies=3), *study({("a", "x", 1): [10]}))
    assert "Fewer than 3 studies have begun: a on x." in result.notes


def test_a_plan_has_a_sweep_for_each_study_and_the_same_points_on_every_workload() -> None:
    asked = algoperf.Knobs(name="algoperf", studies=3, trials=5)
    planned = algoperf.plan(asked, PRETRAIN)
    assert len(planned) == 1 * 2 * 3
    searches = {(p.labels["workload"], p.labels["study"]): p.definition["search"] for p in planned}
    for number in (1, 2, 3):
        assert searches["language-reference", number] == searches["stdlib-source", number]
    assert searches["stdlib-source", 1]["seed"] != searches["stdlib-source", 2]["seed"]
    assert {p.definition["trials"] for p in planned} == {5}
    assert planned[-1].definition["spec"]["data"] == {"source": "builtin", "name": "stdlib-source"}


def test_a_self_tuning_run_trains_longer_and_searches_nothing() -> None:
    asked = algoperf.Knobs(name="algoperf", tuning="self", self_budget=1.5, workloads=["digits"], studies=3)
    planned = algoperf.plan(asked, PRETRAIN)
    assert [p.definition["trials"] for p in planned] == [1, 1, 1]
    assert planned[0].definition["spec"]["steps"] == 30
    assert len({p.definition["seeds"]["first"] for p in planned}) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"algorithms": ["nadamw2"]}, "no method 'nadamw2' among optimizers"),
     ({"workloads": ["upload:x"]}, "a built-in data set or upload:<number>, not 'upload:x'")],
)  # fmt: skip
def test_what_does_not_exist_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        algoperf.plan(algoperf.Knobs(name="algoperf", **changes), PRETRAIN)


def test_targets_are_one_a_workload() -> None:
    with pytest.raises(ValueError, match="targets must be one a workload: 1 for 2 workloads"):
        algoperf.Knobs(name="algoperf", targets=[1.0])
