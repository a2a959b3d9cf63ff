"""The loop: what it reports, what leaves the result alone, and how it ends."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpu_jobs.engine import evaluation, loop
from gpu_jobs.engine.job import prepare
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.events import Artifact, Checkpoint, Failed, Metrics, Phase, Result, Started, Stopped
from gpu_jobs.spec import parse
from tests.gpu_jobs.training import LORA, TINY, Bench, Outcome, after, distance, same

HUGE = {"source": "config", "architecture": "llama", "layers": 256, "width": 32768, "heads": 256}


def test_the_stream_is_started_then_phases_then_one_result(base: Outcome) -> None:
    kinds = [type(event) for event in base.events]
    assert kinds[0] is Started
    assert kinds[-1] is Result
    assert kinds.count(Started) == kinds.count(Result) == 1
    assert [phase.name for phase in base.of(Phase)] == ["train", "evaluate", "save"]
    assert [artifact.path for artifact in base.of(Artifact)] == ["model"]


def test_every_step_has_every_metric_once(base: Outcome) -> None:
    for name in ("loss", "lr", "grad_norm", "tokens", "tokens_per_second"):
        assert list(base.series(f"train/{name}")) == list(range(1, 9))
    steps = [event.step for event in base.of(Metrics) if "train/loss" in event.values]
    assert len(steps) == len(set(steps))
    assert list(base.series("eval/loss")) == [4, 8]


def test_metrics_follow_from_the_spec(base: Outcome) -> None:
    assert base.series("train/tokens") == {step: step * 4 * 16 for step in range(1, 9)}
    rates = base.series("train/lr")
    assert rates[1] == pytest.approx(1e-3 / 2)
    assert rates[8] == pytest.approx(1e-3 * (1 - 5 / 6))
    for step, loss in base.series("eval/loss").items():
        assert base.series("eval/perplexity")[step] == pytest.approx(math.exp(loss))


def test_an_untrained_model_is_as_good_as_guessing(base: Outcome) -> None:
    assert base.series("train/loss")[1] == pytest.approx(math.log(258), abs=0.2)


def test_the_loss_and_gradient_are_those_of_the_model_s_own_loss(bench: Bench) -> None:
    job = prepare(parse(TINY), bench.context(), ALONE)  # type: ignore[arg-type]
    batch = job.data.train.batch(job.sampler.indices(0))
    reference = job.bare(**batch)
    reference.loss.backward()
    norm = torch.sqrt(sum((p.grad**2).sum() for p in job.bare.parameters()))
    job.bare.zero_grad()
    loss, measured, tokens, _ = loop.update(job, 0).tolist()
    assert loss == pytest.approx(reference.loss.item(), rel=1e-5)
    assert measured == pytest.approx(float(norm), rel=1e-4)
    assert tokens == 64


def test_evaluation_is_the_mean_over_all_targets(bench: Bench, base: Outcome) -> None:
    parsed = parse({**TINY, "kind": "finetune", "model": {"source": "run", "run": 1}})
    job = prepare(parsed, bench.context(inputs={"run:1": base.work_dir / "model"}), ALONE)  # type: ignore[arg-type]
    samples = np.concatenate(evaluation.chunks(job))
    assert len(samples) == len(set(samples)) == 2 * 4
    with torch.no_grad():
        reference = float(job.bare.eval()(**job.data.eval.batch(samples)).loss)
    assert base.last.values["quality"]["eval/loss"] == pytest.approx(reference, rel=1e-5)


def test_training_learns(bench: Bench) -> None:
    run = bench.run({"steps": 80, "batch_size": 16, "eval_every": 0, "optimizer": {"name": "adamw", "lr": 1e-2}})
    losses = run.series("train/loss")
    assert losses[80] < losses[1] - 1.5
    assert run.last.values["quality"]["eval/loss"] < losses[1] - 1.5


def test_accumulated_parts_give_the_same_model(bench: Bench, base: Outcome) -> None:
    parts = bench.run({"accumulation": 4})
    assert distance(parts.weights(), base.weights()) < 1e-5
    assert parts.series("train/loss") == pytest.approx(base.series("train/loss"), rel=1e-5)
    assert parts.series("train/grad_norm") == pytest.approx(base.series("train/grad_norm"), rel=1e-4)


def test_gradient_checkpointing_gives_the_same_bits(bench: Bench, base: Outcome) -> None:
    assert same(bench.run({"gradient_checkpointing": True}).weights(), base.weights())


def test_the_same_seed_gives_the_same_bits_and_another_does_not(bench: Bench, base: Outcome) -> None:
    again = bench.run()
    assert same(again.weights(), base.weights())
    assert again.series("train/loss") == base.series("train/loss")
    assert bench.run({"seed": 1}).series("train/loss") != base.series("train/loss")


def test_bf16_keeps_trained_weights_in_float32_and_stays_close(bench: Bench, base: Outcome) -> None:
    run = bench.run({"precision": "bf16"})
    assert {value.dtype for value in run.weights().values()} == {torch.float32}
    assert run.facts["precision"] == "bf16"
    assert run.series("train/loss") == pytest.approx(base.series("train/loss"), rel=1e-2)
    assert run.series("train/loss") != base.series("train/loss")


def test_a_clipped_gradient_has_the_length_that_was_allowed(bench: Bench) -> None:
    job = prepare(parse({**TINY, "clip_norm": 0.25}), bench.context(), ALONE)  # type: ignore[arg-type]
    job.bare(**job.data.train.batch(job.sampler.indices(0))).loss.backward()
    before = float(loop.clip(job))
    after_ = torch.sqrt(sum((p.grad**2).sum() for p in job.bare.parameters()))
    assert before > 0.25
    assert float(after_) == pytest.approx(0.25, rel=1e-4)


def test_a_classifier_of_images_learns_and_is_judged_by_accuracy(bench: Bench) -> None:
    run = bench.run(
        {
            "model": {"source": "config", "architecture": "vit", "layers": 1, "width": 32, "heads": 2},
            "data": {"source": "builtin", "name": "digits"},
            "steps": 150,
            "batch_size": 32,
            "eval_every": 0,
            "eval_batches": 0,
            "optimizer": {"name": "adamw", "lr": 3e-3},
            "schedule": {"name": "constant", "warmup_steps": 5},
        }
    )
    assert run.last.values["quality"]["eval/accuracy"] > 0.5
    assert run.series("train/tokens")[1] == 32 * 17


def test_a_classifier_of_texts_learns_with_an_adapter(bench: Bench, base: Outcome, tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    rows = [f'"{"good" if number % 2 else "bad"} {number}",{"yes" if number % 2 else "no"}' for number in range(120)]
    path.write_text("\n".join(["text,label", *rows]))
    changes = {
        "kind": "finetune",
        "model": {"source": "run", "run": 1},
        "data": {"source": "path", "path": str(path), "label_column": "label"},
        "method": LORA,
        "steps": 40,
        "eval_every": 0,
        "optimizer": {"name": "adamw", "lr": 3e-2},
    }
    run = bench.run(changes, inputs={"run:1": base.work_dir / "model"})
    assert run.last.values["quality"]["eval/accuracy"] > 0.9
    assert run.facts["data"]["labels"] == ["no", "yes"]


def test_the_result_holds_what_every_run_records(base: Outcome) -> None:
    values = base.last.values
    assert values["parameters"] == {
        "total": base.facts["parameters"]["total"],
        "trainable": values["parameters"]["total"],
    }
    assert values["parameters"]["total"] == sum(value.numel() for value in base.weights().values())
    assert set(values["memory"]["phases"]) == {"load", "train", "evaluate", "save"}
    assert values["memory"]["peak_bytes"] == max(values["memory"]["phases"].values())
    assert values["memory"]["device"] == "cpu"
    assert values["memory"]["device_bytes"] > 2**30
    tokens, samples = values["speed"]["tokens_per_second"], values["speed"]["samples_per_second"]
    rates = list(base.series("train/tokens_per_second").values())[1:]  # the first step is not representative
    assert tokens == pytest.approx(len(rates) / sum(1 / rate for rate in rates))
    assert tokens / samples == pytest.approx(16)
    assert values["wall_time_s"] == pytest.approx(base.last.time - base.started_at, abs=0.5)
    assert values["flops"] == base.facts["flops"]
    assert values["stored_bytes"] == sum(p.stat().st_size for p in (base.work_dir / "model").iterdir())


def test_the_facts_say_what_is_trained_on_what(base: Outcome) -> None:
    facts = base.facts
    assert facts["model"]["architecture"] == "llama"
    assert facts["model"]["config"]["hidden_size"] == 16
    assert facts["data"]["name"] == "language-reference"
    assert facts["data"]["fingerprint"]
    assert facts["plan"]["parameters"] == facts["parameters"]
    assert facts["plan"]["memory"]["total"] > 0
    assert base.events[0].provenance["seed"] == 0  # type: ignore[attr-defined]


def failure(bench: Bench, changes: dict[str, Any], **options: Any) -> Failed:
    last = bench.run(changes, **options).last
    assert isinstance(last, Failed)
    return last


def test_a_loss_that_is_not_finite_is_divergence_with_the_step_and_the_rate(bench: Bench) -> None:
    explosive = {"name": "adamw", "lr": 10, "weight_decay": 10}
    run = bench.run({"optimizer": explosive, "clip_norm": 0, "steps": 100, "schedule": {"name": "constant"}})
    assert isinstance(run.last, Failed)
    assert run.last.outcome == "diverged"
    step, loss = run.of(Metrics)[-1].step, run.of(Metrics)[-1].values["train/loss"]
    assert not math.isfinite(loss)
    assert f"at step {step}" in run.last.message
    assert "lower optimizer.lr (now 10" in run.last.message
    assert "clip_norm" in run.last.message


def test_a_model_that_can_not_fit_is_out_of_memory_with_advice(bench: Bench) -> None:
    found = failure(bench, {"model": HUGE})
    assert found.outcome == "out_of_memory"
    assert "gradient_checkpointing" in found.message


def test_an_allocation_that_torch_refuses_is_out_of_memory(bench: Bench) -> None:
    """2^40 float32 for the scores of one batch: torch's own allocator says no."""

    class Greedy(torch.nn.Module):
        def forward(self, **_: Any) -> Any:
            return torch.empty(2**48)

    from gpu_jobs.outcomes import guard

    def events() -> Any:
        job = prepare(parse(TINY), bench.context(), ALONE)  # type: ignore[arg-type]
        job.model = Greedy()
        loop.update(job, 0)
        yield

    (found,) = list(guard(events()))
    assert isinstance(found, Failed)
    assert found.outcome == "out_of_memory"
    assert "allocate" in found.message


def test_a_missing_model_and_a_missing_file_fail_with_a_sentence(bench: Bench, tmp_path: Path) -> None:
    found = failure(bench, {"kind": "finetune", "model": {"source": "run", "run": 7}})
    assert (found.outcome, found.error) == ("failed", "ModelError")
    assert "run:7" in found.message
    found = failure(bench, {"data": {"source": "path", "path": str(tmp_path / "gone.txt")}})
    assert (found.outcome, found.error) == ("failed", "DataError")
    assert "gone.txt" in found.message


def test_a_base_with_its_own_tokenizer_refuses_another(bench: Bench, base: Outcome) -> None:
    changes = {"kind": "finetune", "model": {"source": "run", "run": 1}, "tokenizer": {"name": "bpe", "vocab": 300}}
    found = failure(bench, changes, inputs={"run:1": base.work_dir / "model"})
    assert "tokenizer must be left empty" in found.message


def test_a_sequence_too_long_for_the_base_is_refused(bench: Bench, base: Outcome) -> None:
    changes = {"kind": "finetune", "model": {"source": "run", "run": 1}, "sequence_length": 64}
    assert "64 > 32" in failure(bench, changes, inputs={"run:1": base.work_dir / "model"}).message


def test_asked_to_stop_it_writes_a_checkpoint_and_says_so(bench: Bench) -> None:
    run = bench.run(should_stop=after(5))
    assert isinstance(run.last, Stopped)
    assert run.last.step == 5
    assert run.of(Checkpoint)[-1].step == 5
    assert (run.work_dir / run.of(Checkpoint)[-1].folder / "state.json").is_file()
    assert list(run.series("train/loss")) == [1, 2, 3, 4, 5]
    assert not run.of(Result)


def test_asked_to_stop_before_the_first_step_it_can_still_go_on_later(bench: Bench, base: Outcome) -> None:
    stopped = bench.run(should_stop=lambda: True)
    assert stopped.last.step == 0
    resumed = bench.run(resume_from=stopped.work_dir / "checkpoints/step-0")
    assert same(resumed.weights(), base.weights())
