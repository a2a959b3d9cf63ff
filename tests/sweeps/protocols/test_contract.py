"""What every protocol promises: sound sweeps, an answer to no trials, JSON, and one result whatever the order."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sweeps.protocols.study import FINETUNE, PRETRAIN, Series, a_study, row
from webapp.accounts.errors import Invalid
from webapp.sweeps import checking, registry
from webapp.sweeps.measures.outcomes import Result
from webapp.sweeps.registry import Entry
from webapp.sweeps.rows import Row

ENTRIES = list(registry.entries("protocols").values())
NEED_MORE = {"three_regime": "prune", "sparsity_accuracy": "prune", "merge_grid": "merge"}  # kinds of jobs

every_protocol = pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])


def analysed(entry: Entry, rows: list[Row], series: Series, labels: dict[int, dict[str, Any]]) -> Result:
    result: Result = entry.module.analyse(entry.knobs(name=entry.name), rows, series, labels)
    return result


def test_all_thirteen_of_the_catalogue_are_there_and_two_more() -> None:
    catalogue = {
        "algoperf", "lr_sensitivity", "snr", "eval_variance", "tune_test_seeds", "apet_curve", "d90", "three_regime",
        "merge_grid", "optimizer_bench", "autopeft", "efficiency_metrics", "eff_at_k",
    }  # fmt: skip
    assert {entry.name for entry in ENTRIES} >= catalogue | {"tune_score_split", "lr_batch_grid"}


@every_protocol
@pytest.mark.parametrize("base", [PRETRAIN, FINETUNE], ids=["pretrain", "finetune"])
def test_every_planned_sweep_passes_the_check_of_sweeps(entry: Entry, base: dict[str, Any]) -> None:
    try:
        planned = entry.module.plan(entry.knobs(name=entry.name), base)
    except Invalid as error:
        assert entry.name in NEED_MORE, error
        return
    assert planned
    for sweep in planned:
        checked = checking.checked(sweep.definition)
        assert checked.trials >= 1
        json.dumps(sweep.labels, allow_nan=False)
        assert 0 < len(sweep.name) <= 200


@every_protocol
def test_a_plan_leaves_the_base_spec_as_it_was(entry: Entry) -> None:
    before = json.dumps(FINETUNE)
    if entry.name not in NEED_MORE:
        entry.module.plan(entry.knobs(name=entry.name), FINETUNE)
    assert json.dumps(FINETUNE) == before


@pytest.mark.parametrize(("name", "kind"), NEED_MORE.items())
def test_a_plan_says_which_kind_of_job_is_missing(name: str, kind: str) -> None:
    from gpu_jobs import registry as jobs

    if kind in jobs.kinds():
        pytest.skip(f"kind {kind} is installed")
    entry = registry.entries("protocols")[name]
    with pytest.raises(Invalid, match=f"kind '{kind}', which this installation does not have"):
        entry.module.plan(entry.knobs(name=name), FINETUNE)


@every_protocol
def test_no_trials_are_said_to_be_none(entry: Entry) -> None:
    result = analysed(entry, [], Series(), {})
    assert result.outcomes.trials == 0
    assert "There are no trials yet" in result.notes[0]


@every_protocol
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_the_order_of_rows_changes_nothing_and_the_result_is_json(entry: Entry, seed: int) -> None:
    rows, series, labels = a_study(random.Random(seed))
    first = analysed(entry, rows, series, labels).model_dump_json()
    shuffled = random.Random(seed + 1).sample(rows, len(rows))
    assert analysed(entry, shuffled, series, labels).model_dump_json() == first
    json.dumps(analysed(entry, rows, series, labels).model_dump(mode="json"), allow_nan=False)


@every_protocol
def test_trials_without_a_value_are_counted_by_what_became_of_them(entry: Entry) -> None:
    statuses = ["succeeded", "stopped", "diverged", "out_of_memory", "failed", "cancelled", "queued", "running"]
    rows = [row({"optimizer.lr": 1e-3}, trial=n, trial_status=s, status=s) for n, s in enumerate(statuses)]
    counts = analysed(entry, rows, Series(), {}).outcomes.model_dump()
    assert counts == {
        "trials": 8, "succeeded": 1, "censored": 1, "diverged": 1, "out_of_memory": 1, "failed": 1, "cancelled": 1,
        "open": 2,
    }  # fmt: skip
