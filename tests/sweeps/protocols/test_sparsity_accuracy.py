"""Planted curves of pruning: their crossing and their knee come back, retrained and not, seed by seed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.protocols.pruning import DENSE, RETRAIN, SPEC, WEIGHTS, pruned
from tests.sweeps.protocols.study import Series, row
from webapp.accounts.errors import Invalid
from webapp.sweeps import checking
from webapp.sweeps.protocols import sparsity_accuracy as protocol
from webapp.sweeps.protocols.sparsity_accuracy import Knobs, Result, Standing
from webapp.sweeps.rows import Row

SHARES = [0.2, 0.4, 0.6, 0.8]


def analysed(rows: list[Row], **knobs: Any) -> Result:
    return protocol.analyse(Knobs(name="sparsity_accuracy", **knobs), rows, Series(), {})


def bent(method: str, *, at: float = 0.4, slope: float = 0.1, seeds: int = 3, **more: Any) -> list[Row]:
    """As good as dense up to `at`, then `slope` worse per unit of sparsity."""
    return [
        pruned(method, share, slope * max(0.0, share - at), seed=seed, **more)
        for share in SHARES
        for seed in range(seeds)
    ]


def one(result: Result, method: str, **which: Any) -> Standing:
    (found,) = (s for s in result.standings if s.method == method
                and all(getattr(s, key) == value for key, value in which.items()))  # fmt: skip
    return found


def test_the_limit_and_the_knee_of_a_bent_line_come_back() -> None:
    """.01 worse at .4 + .01 / .1; the bend at .4."""
    found = one(analysed(bent("wanda")), "wanda")
    assert (found.limit, found.low, found.high) == (pytest.approx(0.5),) * 3
    assert (found.knee, found.reading, found.seeds) == (pytest.approx(0.4), "interpolated", 3)
    assert found.at_half == pytest.approx(DENSE * (1 + 0.01))
    assert not found.retrained


def test_nothing_is_said_beyond_what_was_tried() -> None:
    result = analysed([*bent("kept", slope=0.0), *bent("lost", at=-1.0, slope=0.2)])
    assert (one(result, "kept").limit, one(result, "kept").reading) == (None, "beyond 0.8, the largest tried")
    assert one(result, "lost").limit == pytest.approx(0.2 * 0.01 / 0.24)  # between dense, at 0, and .24 worse at .2
    assert [standing.method for standing in result.standings] == ["kept", "lost"]
    bare = [
        row._replace(metrics={k: v for k, v in row.metrics.items() if k != "dense/eval/loss"}) for row in bent("lost")
    ]
    blind = analysed(bare)
    assert one(blind, "lost").reading == "no dense quality to hold it against"
    assert "nothing to hold against" in " ".join(blind.notes)


def test_without_a_point_at_dense_the_smallest_may_be_too_much() -> None:
    rows = [pruned("m", share, 0.5 * share, seed=0, retrained=0.5 * share) for share in SHARES]
    assert one(analysed(rows), "m", retrained=True).reading == "not even 0.2, the smallest tried"


def test_more_is_better_where_the_goal_says_so() -> None:
    rows = [
        pruned("m", share, 0.0, seed=0)._replace(metrics={**row({}, metrics={
            "eval/accuracy": 0.8 - 0.1 * share, "dense/eval/accuracy": 0.8}).metrics})
        for share in SHARES
    ]  # fmt: skip
    result = analysed(rows, metric="eval/accuracy", goal="maximize", tolerance=0.05)
    assert one(result, "m").limit == pytest.approx(0.05 * 0.8 / 0.1)
    assert result.tolerated == pytest.approx(0.76)


def test_one_run_tells_both_what_pruning_left_and_what_training_recovered() -> None:
    rows = [
        pruned("m", share, 0.1 * share, seed=seed, retrained=0.02 * share) for share in SHARES for seed in range(2)
    ] + [pruned("m", 0.0, 0.0, seed=seed, retrained=-0.01) for seed in range(2)]
    both = analysed(rows, retrain="both")
    assert one(both, "m", retrained=False).limit == pytest.approx(0.1)
    assert one(both, "m", retrained=True).limit == pytest.approx(0.5)
    alone = analysed(rows)
    assert [standing.retrained for standing in alone.standings] == [True]


def test_a_schedule_that_prunes_while_it_trains_tells_nothing_of_no_training() -> None:
    rows = [pruned("m", 0.5, 0.1, retrained=0.02)]
    slow = [one._replace(spec={**one.spec, "schedule": {"name": "gradual"}}) for one in rows]
    assert [s.retrained for s in analysed(slow, retrain="both").standings] == [True]


def test_dense_retrained_is_one_run_for_all_criteria() -> None:
    rows = [pruned("a", 0.0, 0.0, retrained=-0.1), *(pruned(name, 0.5, 0.2, retrained=0.0) for name in "ab")]
    points = {(p.method, p.target): p.quality for p in analysed(rows).points}
    assert points[("b", 0.0)] == points[("a", 0.0)] == pytest.approx(0.9 * DENSE)


def test_temperatures_are_curves_of_their_own_and_heat_no_run_that_is_not_retrained() -> None:
    rows = [
        pruned("m", share, 0.1 * share, retrained=share / steps, params={"retrain.steps": steps})
        for share in SHARES for steps in (10, 100)
    ]  # fmt: skip
    result = analysed(rows, retrain="both", temperature="retrain.steps", temperatures=["10", "100"])
    assert {(s.retrained, s.temperature) for s in result.standings} == {(True, "10"), (True, "100"), (False, "")}
    assert one(result, "m", retrained=False).seeds == 1


def test_seeds_are_paired_with_their_own_dense_model() -> None:
    """Two seeds whose dense losses differ by a quarter, and both prune alike: nothing of that is doubt."""
    rows = [pruned("m", share, 0.05 * share, seed=seed, dense=dense)
            for share in SHARES for seed, dense in ((0, 2.0), (1, 2.5))]  # fmt: skip
    found = one(analysed(rows), "m")
    assert (found.limit, found.low, found.high) == (pytest.approx(0.2),) * 3


def test_points_stand_at_what_was_measured_with_size_and_interval() -> None:
    rows = [pruned("m", 0.5, worse, seed=seed, measured=0.48) for seed, worse in ((0, 0.0), (1, 0.1))]
    (dense, point) = analysed(rows).points
    assert (dense.target, dense.sparsity, dense.quality, dense.nonzero) == (0, 0, DENSE, WEIGHTS)
    assert (point.sparsity, point.nonzero, point.stored_bytes) == (pytest.approx(0.48), pytest.approx(520), 4000)
    assert point.quality == pytest.approx(1.05 * DENSE)
    assert point.low is not None and point.high is not None
    # Student's t with one degree of freedom, 12.706, times the standard error .1
    assert point.high - point.quality == pytest.approx(12.706 * 0.1, rel=1e-3)


def test_what_was_lost_is_counted_by_criterion_sparsity_and_fate() -> None:
    lost = [pruned("m", 0.8, 0.0, seed=seed, status="diverged", trial=9) for seed in range(2)]
    result = analysed([*bent("m"), *lost, pruned("m", 0.9, 0.0, status="out_of_memory", trial=10)])
    assert [(one.sparsity, one.status, one.trials) for one in result.lost] == [(0.8, "diverged", 1),
                                                                              (0.9, "out of memory", 1)]  # fmt: skip
    assert one(result, "m").limit == pytest.approx(0.5)


def test_few_seeds_are_said_to_be_few() -> None:
    assert any("With one seed" in note for note in analysed(bent("m", seeds=1)).notes)
    assert any("3 seeds are too narrow" in note for note in analysed(bent("m")).notes)
    assert not any("narrow" in note for note in analysed(bent("m", seeds=5)).notes)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [({"sparsities": [0.5]}, "two or more different shares"), ({"sparsities": [0.1, 1.0]}, "two or more"),
     ({"temperature": "retrain.steps"}, "go together"), ({"temperatures": ["1"]}, "go together")],
)  # fmt: skip
def test_knobs_that_ask_for_nothing_are_refused(knobs: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Knobs(name="sparsity_accuracy", **knobs)


def points_of(planned: Any) -> list[dict[str, Any]]:
    checked = checking.checked(planned.definition)
    assert checked.spec["kind"] == "prune"
    found: list[dict[str, Any]] = planned.definition["search"]["sampler"]["points"]
    assert checked.trials == len(found)
    return found


def planned(base: dict[str, Any], **knobs: Any) -> list[Any]:
    return protocol.plan(Knobs(name="sparsity_accuracy", **knobs), base)


def test_every_criterion_is_planned_at_every_sparsity_but_the_dense_one() -> None:
    (sweep,) = planned(SPEC, sparsities=[0, 0.5, 0.9], methods=["magnitude", "wanda"])
    told = [(point["method.name"], point["method.sparsity"]) for point in points_of(sweep)]
    assert told == [("magnitude", 0.5), ("magnitude", 0.9), ("wanda", 0.5), ("wanda", 0.9)]
    assert sweep.definition["seeds"] == {"tune": 3, "confidence": 0.95}


def test_with_retraining_one_sweep_tells_both_and_dense_is_retrained_once() -> None:
    (sweep,) = planned(
        {**SPEC, "retrain": RETRAIN}, retrain="both", sparsities=[0, 0.5], methods=["magnitude", "wanda"]
    )
    told = [(point["method.name"], point["method.sparsity"]) for point in points_of(sweep)]
    assert told == [("magnitude", 0.0), ("magnitude", 0.5), ("wanda", 0.5)]


def test_a_schedule_that_prunes_in_rounds_needs_a_sweep_without_retraining() -> None:
    base = {**SPEC, "retrain": RETRAIN, "schedule": {"name": "iterative", "rounds": 2}}
    bare = {**SPEC, "retrain": RETRAIN}
    assert len(planned(bare, retrain="both")) == 1
    first, second = planned(base, retrain="both", methods=["magnitude"])
    assert checking.checked(first.definition).spec["retrain"] is not None
    assert checking.checked(second.definition).spec["retrain"] is None
    assert first.name != second.name


def test_temperatures_multiply_and_none_drops_the_retraining() -> None:
    base = {**SPEC, "retrain": RETRAIN}
    heats: dict[str, Any] = {"temperature": "retrain.steps", "temperatures": ["10", "20"]}
    (sweep,) = planned(base, methods=["magnitude"], sparsities=[0.2, 0.5], **heats)
    assert [point["retrain.steps"] for point in points_of(sweep)] == [10, 20, 10, 20]
    (bare,) = planned(base, methods=["magnitude"], retrain="none")
    assert checking.checked(bare.definition).spec["retrain"] is None
    with pytest.raises(Invalid, match="heats nothing"):
        planned(base, retrain="none", **heats)


def test_by_default_all_criteria_are_planned_that_learn_no_masks() -> None:
    from gpu_jobs import registry as jobs

    (sweep,) = planned(SPEC, sparsities=[0.2, 0.5])
    learned = {name for name, method in jobs.methods("criteria").items() if hasattr(method.module, "Hooks")}
    there = {point["method.name"] for point in points_of(sweep)} | set(sweep.labels["left_out"])
    assert there == set(jobs.methods("criteria")) - learned >= {"magnitude", "random", "wanda"}


def test_what_all_criteria_can_be_asked_is_the_same_for_all() -> None:
    base = {**SPEC, "method": {**SPEC["method"], "targets": "mlp"}}
    (sweep,) = planned(base, sparsities=[0.2, 0.5])
    assert {point["method.targets"] for point in points_of(sweep)} == {"mlp"}


def test_what_fits_no_criterion_is_refused_with_its_reason() -> None:
    base = {**SPEC, "retrain": RETRAIN, "schedule": {"name": "iterative"}}
    with pytest.raises(Invalid, match=r"None of these criteria can prune this base\. magnitude: .*one_shot"):
        planned(base, methods=["magnitude"], pattern="structured")
    with pytest.raises(Invalid, match="no method 'luck' among criteria"):
        planned(SPEC, methods=["luck"])
    with pytest.raises(Invalid, match="retrain is both, but the base has no retraining"):
        planned(SPEC, retrain="both")
