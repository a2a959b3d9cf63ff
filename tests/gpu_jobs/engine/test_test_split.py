"""`report_test`: the final model is judged once on samples that neither trained it nor chose it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from gpu_jobs.engine import evaluation
from gpu_jobs.engine.job import prepare
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.errors import DataError
from gpu_jobs.events import Result
from gpu_jobs.spec import parse
from tests.gpu_jobs.training import LORA, TINY, Bench, Outcome, after, same

DATA = {"source": "builtin", "name": "language-reference", "test_fraction": 0.1}
REPORT = {"data": DATA, "report_test": True}


@pytest.fixture(scope="module")
def reported(bench: Bench) -> Outcome:
    return bench.run(REPORT)


def test_it_is_judged_once_at_the_end_and_stands_in_the_result(reported: Outcome) -> None:
    assert list(reported.series("eval/loss")) == [4, 8]
    assert list(reported.series("test/loss")) == list(reported.series("test/perplexity")) == [8]
    quality = reported.last.values["quality"]
    assert set(quality) == {"eval/loss", "eval/perplexity", "test/loss", "test/perplexity"}
    assert quality["test/loss"] == reported.series("test/loss")[8] != quality["eval/loss"]
    assert quality["test/perplexity"] == pytest.approx(math.exp(quality["test/loss"]))
    assert set(reported.facts["data"]["samples"]) == {"train", "eval", "test"}


def test_it_is_the_mean_over_samples_of_the_test(bench: Bench, reported: Outcome) -> None:
    spec = parse({**TINY, **REPORT, "kind": "finetune", "model": {"source": "run", "run": 1}})
    job = prepare(spec, bench.context(inputs={"run:1": reported.work_dir / "model"}), ALONE)  # type: ignore[arg-type]
    samples = np.concatenate(evaluation.chunks(job, "test"))
    assert len(samples) == len(set(samples)) == 2 * 4 and job.data.test is not None
    with torch.no_grad():
        reference = float(job.bare.eval()(**job.data.test.batch(samples)).loss)
    assert reported.last.values["quality"]["test/loss"] == pytest.approx(reference, rel=1e-5)


def test_reporting_changes_nothing_of_the_training(bench: Bench, reported: Outcome) -> None:
    silent = bench.run({"data": DATA})
    assert not silent.series("test/loss") and same(silent.weights(), reported.weights())
    assert silent.series("eval/loss") == reported.series("eval/loss")
    assert silent.facts["data"]["fingerprint"] == reported.facts["data"]["fingerprint"]


def test_a_run_that_was_stopped_and_resumed_reports_the_same(bench: Bench, reported: Outcome) -> None:
    stopped = bench.run(REPORT, should_stop=after(5))
    assert not stopped.series("test/loss")
    resumed = bench.run(REPORT, resume_from=stopped.work_dir / "checkpoints/step-5")
    assert resumed.last.values["quality"] == reported.last.values["quality"]


def test_a_run_that_reports_goes_on_from_one_that_did_not(bench: Bench, reported: Outcome) -> None:
    silent = bench.run({"data": DATA}, should_stop=after(5))
    resumed = bench.run(REPORT, resume_from=silent.work_dir / "checkpoints/step-5")
    assert resumed.last.values["quality"] == reported.last.values["quality"]


def test_two_processes_report_what_one_does(bench: Bench, reported: Outcome) -> None:
    run = bench.run({**REPORT, "gpus": 2})
    assert isinstance(run.last, Result)
    assert run.last.values["quality"] == pytest.approx(reported.last.values["quality"], rel=1e-4)
    assert list(run.series("test/loss")) == [8]


def test_a_classifier_of_images_reports_its_accuracy(bench: Bench) -> None:
    run = bench.run({
        "model": {"source": "config", "architecture": "vit", "layers": 1, "width": 16, "heads": 2},
        "data": {"source": "builtin", "name": "digits", "test_fraction": 0.2}, "report_test": True, "eval_batches": 0,
    })  # fmt: skip
    count = run.facts["data"]["samples"]["test"]
    correct = run.last.values["quality"]["test/accuracy"] * count
    assert count == pytest.approx(359, abs=2) and correct == pytest.approx(round(correct), abs=1e-6)


def test_a_classifier_of_texts_reports_its_accuracy(bench: Bench, base: Outcome, tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    rows = [f'"{"good" if number % 2 else "bad"} {number}",{"yes" if number % 2 else "no"}' for number in range(120)]
    path.write_text("\n".join(["text,label", *rows]))
    changes: dict[str, Any] = {
        "kind": "finetune", "model": {"source": "run", "run": 1}, "method": LORA, "steps": 2, "report_test": True,
        "data": {"source": "path", "path": str(path), "label_column": "label", "test_fraction": 0.25},
    }  # fmt: skip
    run = bench.run(changes, inputs={"run:1": base.work_dir / "model"})
    assert {"test/loss", "test/accuracy"} <= set(run.last.values["quality"])
    assert run.facts["data"]["samples"]["test"] == 30


@pytest.mark.parametrize("data", [{**DATA, "test_fraction": 0}, {"source": "upload", "upload": 1}])
def test_a_report_without_a_test_split_is_refused_before_it_is_queued(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        parse({**TINY, "data": data, "report_test": True})
    (error,) = caught.value.errors()
    assert error["loc"][-1] == "report_test"
    assert "set data.test_fraction, to 0.1 for example" in error["msg"]


@pytest.mark.parametrize(
    "data",
    [
        DATA,
        {"source": "path", "path": "/a.txt", "test_path": "/b.txt"},
        {"source": "hub", "id": "a/b", "test_split": "test"},
        {"source": "hub", "id": "a/b", "test_fraction": 0.2},
    ],
)
def test_a_report_on_any_test_split_is_taken(data: dict[str, Any]) -> None:
    assert parse({**TINY, "data": data, "report_test": True}).report_test  # type: ignore[attr-defined]


@pytest.mark.parametrize("fraction", [-0.1, 0.6])
def test_the_share_of_the_test_is_bounded(fraction: float) -> None:
    with pytest.raises(ValidationError, match="test_fraction"):
        parse({**TINY, "data": {**DATA, "test_fraction": fraction}})


def test_the_engine_itself_says_what_a_report_needs(bench: Bench) -> None:
    job = prepare(parse(TINY), bench.context(), ALONE)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"set data\.test_fraction"):
        evaluation.evaluate(job, "test")


def test_what_is_reported_is_also_judged_before_the_first_step_where_that_is_asked_for(
    bench: Bench, reported: Outcome
) -> None:
    """The base of a comparison on the test split: a run that starts where one ended finds what that reported."""
    base = {"run:1": reported.work_dir / "model"}
    changes = {**REPORT, "kind": "finetune", "model": {"source": "run", "run": 1}, "eval_before": True}
    told = bench.run(changes, inputs=base).last.values
    before, ended = told["before"], reported.last.values["quality"]
    assert set(before) == set(ended)
    assert before == pytest.approx(ended, rel=1e-5)
    assert told["quality"]["test/loss"] != before["test/loss"]
