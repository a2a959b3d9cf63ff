"""A job that judges a model says what the run that trained it has said."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from sklearn.metrics import f1_score

from gpu_jobs import cost, spec
from gpu_jobs.engine.evaluation import macro_f1
from gpu_jobs.engine.samples import Sample, word_f1
from gpu_jobs.events import Artifact, Failed, Result, Started
from tests.gpu_jobs.training import LORA, TINY, Bench, Outcome, after

DATA = TINY["data"]


def judged(bench: Bench, run: Outcome, inputs: dict[str, Any] | None = None, **changes: Any) -> Outcome:
    """The evaluation of a run's model, as a job of its own."""
    asked = {"kind": "evaluate", "model": {"source": "run", "run": 7}, "data": DATA, "sequence_length": 16,
             "batch_size": 4, "eval_batches": 2}  # fmt: skip
    context = bench.context(inputs={"run:7": run.work_dir / "model", **(inputs or {})})
    import gpu_jobs

    return Outcome(list(gpu_jobs.run(spec.parse(asked | changes), context)), context.work_dir)


def test_it_finds_what_the_training_run_found(bench: Bench, base: Outcome) -> None:
    found = judged(bench, base)
    assert [type(found.events[0]), type(found.last)] == [Started, Result]
    for name, value in base.last.values["quality"].items():
        assert found.last.values["quality"][name] == pytest.approx(value, rel=1e-6)
    assert found.last.values["parameters"] == {"total": base.facts["parameters"]["total"], "trainable": 0}


@pytest.mark.parametrize("method", [LORA, {"name": "svfit", "rank": 4}])
def test_an_adapter_is_judged_on_its_base(bench: Bench, base: Outcome, method: dict[str, Any]) -> None:
    first = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": method},
        inputs={"run:1": base.work_dir / "model"},
    )
    found = judged(bench, first, {"run:7/base": base.work_dir / "model"})
    assert found.last.values["quality"]["eval/loss"] == pytest.approx(first.last.values["quality"]["eval/loss"])


def test_a_second_data_set_shows_what_was_forgotten(bench: Bench, base: Outcome) -> None:
    other = {"source": "builtin", "name": "stdlib-source"}
    run = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}, "data": other, "retention_data": DATA, "steps": 40,
         "optimizer": {"name": "adamw", "lr": 1e-2}},
        inputs={"run:1": base.work_dir / "model"},
    )  # fmt: skip
    before, after = run.last.values["before"], run.last.values["quality"]
    assert before["retention/loss"] == pytest.approx(base.last.values["quality"]["eval/loss"], rel=1e-6)
    assert after["eval/loss"] < before["eval/loss"]
    found = judged(bench, run, data=other, retention_data=DATA)
    assert found.last.values["quality"]["retention/loss"] == pytest.approx(after["retention/loss"], rel=1e-6)


def test_the_quality_before_survives_a_pause(bench: Bench, base: Outcome) -> None:
    asked = {"kind": "finetune", "model": {"source": "run", "run": 1}}
    inputs = {"run:1": base.work_dir / "model"}
    first = bench.run(asked, inputs=inputs, should_stop=after(4))
    second = bench.run(asked, inputs=inputs, resume_from=first.work_dir / "checkpoints/step-4")
    assert second.last.values["before"]["eval/loss"] == pytest.approx(base.last.values["quality"]["eval/loss"])


def test_answers_are_kept_and_compared(bench: Bench, base: Outcome) -> None:
    found = judged(bench, base, generate=5, generate_tokens=8)
    assert Artifact(path="samples.jsonl", kind="file", step=0, time=0).path in [a.path for a in found.of(Artifact)]
    rows = [json.loads(line) for line in (found.work_dir / "samples.jsonl").read_text().splitlines()]
    assert len(rows) == 5
    assert found.last.values["quality"]["eval/word_f1"] == pytest.approx(sum(row["f1"] for row in rows) / 5)
    assert found.last.values["quality"]["eval/exact_match"] == sum(row["exact"] for row in rows) / 5


def test_the_questions_of_instructions_are_asked(bench: Bench, base: Outcome) -> None:
    data = {"source": "builtin", "name": "topic-questions"}
    found = judged(bench, base, data=data, sequence_length=32, generate=3, generate_tokens=4)
    rows = [json.loads(line) for line in (found.work_dir / "samples.jsonl").read_text().splitlines()]
    assert all(row["prompt"] and row["reference"] for row in rows)


def test_the_likeliest_token_is_what_is_written(bench: Bench, base: Outcome) -> None:
    from transformers import AutoModelForCausalLM

    found = judged(bench, base, generate=2, generate_tokens=1)
    model = AutoModelForCausalLM.from_pretrained(base.work_dir / "model").eval()
    for line in (found.work_dir / "samples.jsonl").read_text().splitlines():
        row = json.loads(line)
        ids = torch.tensor([list(row["prompt"].encode())])
        token = int(model(input_ids=ids).logits[0, -1].argmax())
        assert row["answer"].encode() == (bytes([token]) if token < 128 else b"") or token >= 128


def test_f1_is_scikit_learns() -> None:
    wanted, taken = [0, 0, 1, 2, 2, 2, 1], [0, 1, 1, 2, 0, 2, 2]
    confusion = torch.zeros(4, 4)  # class 3 does not occur
    for row, column in zip(wanted, taken, strict=True):
        confusion[row, column] += 1
    assert macro_f1(confusion) == pytest.approx(f1_score(wanted, taken, average="macro"))


@pytest.mark.parametrize(
    ("answer", "reference", "exact", "f1"),
    [(" a b ", "a b", True, 1.0), ("a", "a b c", False, 0.5), ("x", "", False, 0.0), ("", "", True, 0.0)],
)
def test_answers_are_compared_by_their_words(answer: str, reference: str, exact: bool, f1: float) -> None:
    sample = Sample("?", answer, reference)
    assert (sample.is_exact, sample.f1) == (exact, pytest.approx(f1))
    assert word_f1(answer.split(), reference.split()) == sample.f1


def test_its_plan_trains_nothing(base: Outcome) -> None:
    asked = {"kind": "evaluate", "model": {"source": "run", "run": 1}, "data": DATA, "sequence_length": 16,
             "batch_size": 4, "eval_batches": 2}  # fmt: skip
    plan = cost.plan(spec.parse(asked), {"run:1": base.facts})
    assert plan.parameters == {"total": base.facts["parameters"]["total"], "trainable": 0}
    training = cost.plan(spec.parse({**TINY, "eval_before": False}))
    assert plan.flops["total"] == 2 * plan.flops["per_step"]  # type: ignore[operator]
    assert 3 * plan.flops["per_step"] == pytest.approx(training.flops["per_step"], rel=0.01)  # type: ignore[operator]


def test_a_classifier_has_an_f1(bench: Bench) -> None:
    run = bench.run(
        {"model": {"source": "builtin", "name": "nano-vit"}, "data": {"source": "builtin", "name": "digits"}}
    )
    assert 0 <= run.last.values["quality"]["eval/f1"] <= 1


def test_a_test_split_must_be_there() -> None:
    with pytest.raises(ValueError, match="test_fraction"):
        spec.parse({"kind": "evaluate", "model": {"source": "run", "run": 1}, "data": DATA, "split": "test"})


def test_packed_documents_stay_apart_in_evaluation_too(bench: Bench, base: Outcome) -> None:
    """Packed or one a row, the mean over the same answers is the same."""
    data = {"source": "builtin", "name": "topic-questions"}
    packed, alone = (
        judged(bench, base, data=data, sequence_length=32, eval_batches=0, packing=packing)
        for packing in ("isolated", "none")
    )
    found = [run.last.values["quality"]["eval/loss"] for run in (packed, alone)]
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_method_that_lets_documents_see_each_other_is_refused(bench: Bench, base: Outcome) -> None:
    data = {"source": "builtin", "name": "topic-questions"}
    run = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}, "data": data, "method": {"name": "prefix"}},
        inputs={"run:1": base.work_dir / "model"},
    )
    assert isinstance(run.last, Failed)
    assert "set it to none" in run.last.message
