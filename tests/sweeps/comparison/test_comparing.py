"""The whole comparison: baselines, verdicts, fronts, budgets, horizontals, and everything that is left out and said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.sweeps.protocols.pruning import DENSE, WEIGHTS, pruned
from tests.sweeps.protocols.study import FINETUNE, PRETRAIN, row
from webapp.sweeps.comparison import Comparison, Question, compared
from webapp.sweeps.comparison.question import goal_of

LOSS = Question(metric="eval/loss")
SEEDS = (0.0, 0.01, -0.01)


def runs(method: str, loss: float, *, jitter: tuple[float, ...] = SEEDS, spec: dict[str, Any] | None = None,
         **fields: Any) -> list[Any]:  # fmt: skip
    """One run a seed, whose losses lie around `loss`."""
    found = {**(spec or FINETUNE), "method": {"name": method}}
    return [row(None, loss + off, spec={**found, "seed": seed}, seed=seed, **fields) for seed, off in enumerate(jitter)]


def lines(found: Comparison) -> dict[str, Any]:
    return {line.label: line for line in found.lines}


def test_each_group_is_held_against_full_fine_tuning() -> None:
    found = compared([*runs("lora", 2.0), *runs("full", 1.5, jitter=(0.02, -0.01, -0.01))], LOSS)
    told = lines(found)
    assert (found.baseline, found.why_baseline) == (told["full"].key, "full fine-tuning")
    reference = stats.ttest_rel([2.0, 2.01, 1.99], [1.52, 1.49, 1.49]).confidence_interval()
    against = told["lora"].against
    assert (against.low, against.high) == pytest.approx((reference.low, reference.high))
    assert (against.test, against.pairs, told["lora"].verdict, told["full"].verdict) == (
        "paired",
        3,
        "worse",
        "baseline",
    )
    assert told["lora"].quality.low == pytest.approx(stats.t.interval(0.95, 2, 2.0, stats.sem([2.0, 2.01, 1.99]))[0])
    assert against.relative == pytest.approx(1 / 3)


def test_what_can_not_be_told_from_the_baseline_is_noise() -> None:
    told = lines(
        compared([*runs("full", 1.5, jitter=(0.3, -0.3, 0.0)), *runs("lora", 1.49, jitter=(-0.3, 0.2, 0.1))], LOSS)
    )
    assert told["lora"].verdict == "below noise"


def test_better_goes_by_the_goal() -> None:
    rows = [*runs("full", 0.5), *runs("lora", 0.9)]
    assert lines(compared(rows, LOSS))["lora"].verdict == "worse"
    assert lines(compared(rows, Question(metric="eval/loss", goal="maximize")))["lora"].verdict == "better"
    assert (goal_of("eval/accuracy"), goal_of("eval/loss"), goal_of("test/f1")) == ("maximize", "minimize", "maximize")


def test_one_seed_has_no_interval_and_it_says_so() -> None:
    found = compared([*runs("full", 1.5, jitter=(0.0,)), *runs("lora", 2.0, jitter=(0.0,))], LOSS)
    line = lines(found)["lora"]
    assert (line.quality.low, line.against.low, line.verdict) == (None, None, "no interval")
    assert any("no interval" in note for note in found.notes)


def test_a_seed_that_ran_twice_counts_once() -> None:
    twice = [*runs("lora", 2.0, jitter=(0.0, 0.1)), *runs("lora", 2.0, jitter=(0.0, 0.1))]
    line = compared(twice, LOSS).lines[0]
    assert (len(line.runs), line.seeds, line.quality.n) == (4, [0, 1], 2)


def test_the_baseline_is_chosen_else_named_by_the_runs_else_the_best() -> None:
    rows = [*runs("lora", 2.0), *runs("dora", 1.9), *runs("ia3", 2.2)]
    chosen = compared(rows, Question(metric="eval/loss", baseline=rows[1].run))
    assert (chosen.baseline, chosen.why_baseline) == (rows[0].run, "chosen")
    named = compared(rows, Question(metric="eval/loss", own_baselines=(rows[7].run,)))
    assert (named.baseline, named.why_baseline) == (rows[6].run, "named by the runs")
    best = compared(rows, LOSS)
    assert (best.baseline, best.why_baseline) == (rows[3].run, "the best")
    lost = compared(rows, Question(metric="eval/loss", baseline=10**9))
    assert lost.why_baseline == f"run {10**9} is not among them; the best"


def test_runs_that_did_not_succeed_are_counted_and_in_no_mean() -> None:
    lost = [row(None, 0.1, spec={**FINETUNE, "method": {"name": "lora"}}, seed=9, status=status)
            for status in ("out_of_memory", "diverged", "failed", "running")]  # fmt: skip
    found = compared([*runs("full", 1.5), *runs("lora", 2.0), *lost], LOSS)
    line = lines(found)["lora"]
    assert line.outcomes == {"succeeded": 3, "out_of_memory": 1, "diverged": 1, "failed": 1, "running": 1}
    assert line.quality.mean == pytest.approx(2.0)
    assert "Runs that count in no mean: 1 diverged, 1 failed, 1 not over yet, 1 out of memory." in found.cautions


def test_a_group_without_any_value_stays_in_the_table() -> None:
    found = compared([*runs("full", 1.5), *runs("mezo", 9.0, status="out_of_memory")], LOSS)
    line = lines(found)["mezo"]
    assert (line.quality, line.against, line.verdict, line.front) == (None, None, "no value", [])


def test_a_metric_that_is_not_finite_is_no_value_and_is_said() -> None:
    found = compared([*runs("full", 1.5), *runs("lora", float("nan"))], LOSS)
    assert lines(found)["lora"].quality is None
    assert "Without a finite eval/loss: lora." in found.cautions


def test_measures_come_from_results_and_facts_and_what_is_missing_is_none() -> None:
    result = {"stored_bytes": 4096, "memory": {"peak_bytes": 10**9}, "wall_time_s": 3600.0, "flops": {"total": 6e12},
              "speed": {"tokens_per_second": 500.0}}  # fmt: skip
    watts = {"system/gpu0_power_watts": [200.0, 400.0]}
    rows = [*runs("full", 1.5, trainable=1000, total=1000, result=result, metrics=watts),
            *runs("lora", 1.6, trainable=10, total=1010, result={**result, "wall_time_s": 900.0})]  # fmt: skip
    told = lines(compared(rows, LOSS))
    means = {name: amount and amount.mean for name, amount in told["full"].measures.items()}
    assert means == {
        "trainable_share": 1.0, "trainable": 1000, "stored_bytes": 4096, "memory_bytes": 10**9, "wall_time_s": 3600,
        "energy_kwh": pytest.approx(0.3), "flops": 6e12, "tokens_per_second": 500,
            "sparsity": None, "nonzero_parameters": None,
    }  # fmt: skip
    assert told["lora"].measures["energy_kwh"] is None
    assert told["lora"].ratios["wall_time_s"] == 0.25
    assert told["lora"].ratios["trainable"] == 0.01
    assert told["lora"].ratios["energy_kwh"] is None


def test_the_front_holds_who_is_beaten_in_nothing_by_nobody() -> None:
    rows = [*runs("full", 1.5, trainable=1000, total=1000), *runs("lora", 1.6, trainable=10, total=1010),
            *runs("big", 1.7, trainable=50, total=1050), *runs("small", 1.9, trainable=1, total=1001)]  # fmt: skip
    told = lines(compared(rows, LOSS))
    assert [name for name, line in told.items() if "trainable" in line.front] == ["full", "lora", "small"]
    assert all(line.front == ["trainable_share", "trainable"] for name, line in told.items() if name != "big")


def test_more_tokens_a_second_are_better() -> None:
    fast, slow = {"speed": {"tokens_per_second": 900.0}}, {"speed": {"tokens_per_second": 100.0}}
    told = lines(compared([*runs("full", 1.5, result=slow), *runs("lora", 1.4, result=fast)], LOSS))
    assert (told["full"].front, told["lora"].front) == ([], ["tokens_per_second"])


@pytest.mark.parametrize(
    ("steps", "told", "outside"),
    [
        ((100, 100), "Steps exactly equal.", []),
        ((100, 98), "Steps equal within 2 %.", []),
        ((100, 95), "Steps equal within 5 %.", []),
        ((100, 340), "Steps not equal: 1.0x to 3.4x the baseline's.", ["lora"]),
        ((100, 50), "Steps not equal: 0.5x to 1.0x the baseline's.", ["lora"]),
    ],
)
def test_whether_the_budget_is_equal_is_said(steps, told, outside) -> None:
    found = compared([*runs("full", 1.5, step=steps[0]), *runs("lora", 2.0, step=steps[1])], LOSS)
    assert found.budget.sentence == told
    assert [line.label for line in found.lines if line.is_within is False] == outside


def test_a_budget_that_is_not_measured_is_not_called_equal() -> None:
    asked = Question(metric="eval/loss", budget="energy_kwh")
    found = compared([*runs("full", 1.5), *runs("lora", 2.0)], asked)
    assert found.budget.is_equal is None
    assert found.budget.sentence == "Energy of no group is measured: whether the budget is equal can't be said."
    tokens = Question(metric="eval/loss", budget="tokens")
    half = compared([*runs("full", 1.5, result={"tokens": 500}), *runs("lora", 2.0)], tokens)
    assert half.budget.sentence == "Tokens exactly equal; not measured of 1 of 2 groups."
    assert [line.is_within for line in half.lines] == [True, None]


def test_other_data_tasks_and_models_are_warned_of_by_name() -> None:
    other = {**FINETUNE, "data": {"source": "builtin", "name": "stdlib-source"}}
    found = compared([*runs("full", 1.5), *runs("lora", 2.0, spec=other)], LOSS)
    assert "Different data: language-reference (full); stdlib-source (lora)." in found.cautions
    vit = compared([*runs("full", 1.5), *runs("lora", 2.0, facts={"task": "image_classification"})], LOSS)
    assert any(caution.startswith("Different tasks:") for caution in vit.cautions)


def test_a_wider_grouping_is_warned_of_and_counts_runs() -> None:
    rows = [*runs("lora", 2.0), *runs("lora", 1.0, spec={**FINETUNE, "steps": 50})]
    found = compared(rows, Question(metric="eval/loss", group=("method.name",)))
    assert found.lines[0].quality.n == 6
    assert found.lines[0].quality.mean == pytest.approx(np.mean([2.0, 2.01, 1.99, 1.0, 1.01, 0.99]))
    assert any("more than their seed" in caution for caution in found.cautions)


BASED = {**FINETUNE, "model": {"source": "run", "run": 77}}


def test_the_base_is_what_the_runs_measured_before_training() -> None:
    rows = runs("lora", 2.0, spec=BASED, result={"before": {"eval/loss": 3.5}})
    base = compared(rows, LOSS).levels[1]
    assert (base.label, base.value) == ("base", 3.5)


def test_else_it_is_how_the_base_run_ended_on_the_same_data() -> None:
    judged = {name: FINETUNE[name] for name in ("data", "batch_size", "sequence_length")}
    base_run = row(None, 2.9, spec={**PRETRAIN, **judged}, run=77)
    found = compared(runs("lora", 2.0, spec=BASED), LOSS, {77: base_run}).levels[1]
    assert (found.value, found.how) == (2.9, "How base run 77 ended on the same data.")


def test_else_there_is_no_line_and_it_says_why() -> None:
    elsewhere = row(None, 2.9, spec={**PRETRAIN, "data": {"source": "builtin", "name": "stdlib-source"}}, run=77)
    rows = runs("lora", 2.0, spec=BASED)
    for bases, why in (({77: elsewhere}, "judged on other samples"), ({}, "gone, or not yours")):
        base = compared(rows, LOSS, bases).levels[1]
        assert base.value is None and why in base.how
    assert "no run's model" in compared(runs("lora", 2.0), LOSS).levels[1].how


def test_no_runs_are_an_empty_comparison() -> None:
    found = compared([], LOSS)
    assert (found.lines, found.baseline, found.budget.is_equal) == ([], None, None)


def test_models_that_were_made_smaller_are_measured_by_what_is_left_and_their_base_is_dense() -> None:
    rows = [pruned("wanda", 0.5, 0.1, seed=seed, measured=0.48) for seed in range(2)]
    found = compared([*rows, *(pruned("magnitude", 0.5, 0.2, seed=seed) for seed in range(2))], LOSS)
    means = {name: amount.mean for name, amount in lines(found)["wanda"].measures.items() if amount}
    assert (means["sparsity"], means["nonzero_parameters"]) == (pytest.approx(0.48), pytest.approx(520))
    assert means["stored_bytes"] == 4 * WEIGHTS
    assert found.levels[1].value == DENSE
