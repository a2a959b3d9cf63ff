"""Every objective in the loop: it trains, goes on after a pause with the same bits, and does what it is for."""

from __future__ import annotations

from typing import Any

import pytest

from gpu_jobs import registry, spec
from gpu_jobs.engine.job import Job, prepare
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.events import Metrics
from tests.gpu_jobs.training import LORA, TINY, Bench, Outcome, after, same

REFERENCE = {"source": "builtin", "name": "language-reference"}
SOURCE = {"source": "builtin", "name": "stdlib-source"}
QUESTIONS = {"source": "builtin", "name": "topic-questions"}
BASE = {"source": "run", "run": 1}
CASES: dict[str, dict[str, Any]] = {
    "cross_entropy": {"objective": {"name": "cross_entropy", "label_smoothing": 0.1, "z_loss": 1e-4}},
    "distillation": {"teacher": BASE, "objective": {"name": "distillation", "features": 0.1}},
    "consistency": {},
    "inverted_hinge": {"data": SOURCE, "retention_data": REFERENCE},
    "dpo": {"data": QUESTIONS, "sequence_length": 32},
    "remax": {"data": QUESTIONS, "sequence_length": 32, "objective": {"name": "remax", "max_tokens": 4}},
}


def asked(name: str, **changes: Any) -> dict[str, Any]:
    return {"kind": "finetune", "model": BASE, "objective": {"name": name}, "steps": 6, "eval_every": 0,
            "checkpoint_every": 0, **CASES[name], **changes}  # fmt: skip


def inputs(base: Outcome) -> dict[str, Any]:
    return {"run:1": base.work_dir / "model"}


def job(bench: Bench, base: Outcome, name: str, **changes: Any) -> Job:
    parsed = spec.parse({**TINY, **asked(name, **changes)})
    return prepare(parsed, bench.context(inputs=inputs(base)), ALONE)  # type: ignore[arg-type]


def test_every_objective_is_tried_here() -> None:
    assert registry.methods("objectives").keys() <= CASES.keys()


@pytest.mark.parametrize(
    "method", [{"name": "full"}, LORA, {"name": "svfit", "rank": 4}], ids=lambda each: each["name"]
)
@pytest.mark.parametrize("name", CASES)
def test_stopped_and_resumed_it_ends_with_the_same_bits(
    bench: Bench, base: Outcome, name: str, method: dict[str, Any]
) -> None:
    changes = asked(name, method=method)
    whole = bench.run(changes, inputs=inputs(base))
    first = bench.run(changes, inputs=inputs(base), should_stop=after(4))
    second = bench.run(changes, inputs=inputs(base), resume_from=first.work_dir / "checkpoints/step-4")
    files = [path.name for path in (whole.work_dir / "model").glob("*.safetensors")]
    assert files
    assert all(same(second.weights(f"model/{file}"), whole.weights(f"model/{file}")) for file in files)
    for series in {name for event in whole.of(Metrics) for name in event.values if name.startswith("reward/")}:
        assert first.series(series) | second.series(series) == whole.series(series)


def test_the_loss_of_parts_is_the_loss_of_the_whole(bench: Bench, base: Outcome) -> None:
    from gpu_jobs.engine.loop import update

    for name in ("cross_entropy", "distillation", "dpo"):
        whole, parts = (job(bench, base, name, accumulation=number) for number in (1, 2))
        assert float(update(whole, 0)[0]) == pytest.approx(float(update(parts, 0)[0]), rel=1e-5), name


def test_preferences_begin_at_log_2(bench: Bench, base: Outcome) -> None:
    run = bench.run(asked("dpo", method=LORA), inputs=inputs(base))
    assert run.series("train/loss")[1] == pytest.approx(0.6931, abs=1e-4)
    assert run.last.values["before"]["eval/loss"] == pytest.approx(0.6931, abs=1e-4)


def test_the_preferences_of_a_batch_are_learnt(bench: Bench, base: Outcome) -> None:
    from gpu_jobs.engine.loop import update
    from gpu_jobs.engine.optim import set_rate

    ready = job(bench, base, "dpo", schedule={"name": "constant"}, optimizer={"name": "adamw", "lr": 1e-3})
    set_rate(ready.spec, ready.optimizer, 0, 0)
    losses = [float(update(ready, 0)[0]) for _ in range(15)]
    assert losses[0] == pytest.approx(0.6931, abs=1e-4)
    assert losses[-1] < 0.6


def test_what_is_unlearnt_is_forgotten_and_the_rest_is_kept(bench: Bench, base: Outcome) -> None:
    run = bench.run(asked("inverted_hinge", steps=60, optimizer={"name": "adamw", "lr": 1e-2}), inputs=inputs(base))
    before, now = run.last.values["before"], run.last.values["quality"]
    assert now["eval/loss"] - before["eval/loss"] > now["retention/loss"] - before["retention/loss"]
    assert now["retention/loss"] < before["retention/loss"]


def test_a_student_comes_closer_to_its_teacher(bench: Bench, base: Outcome) -> None:
    teacher = bench.run({"steps": 60, "optimizer": {"name": "adamw", "lr": 1e-2}})
    changes = asked("distillation", teacher={"source": "run", "run": 2}, steps=40, objective={
        "name": "distillation", "weight": 1.0}, optimizer={"name": "adamw", "lr": 1e-2})  # fmt: skip
    run = bench.run(changes, inputs=inputs(base) | {"run:2": teacher.work_dir / "model"})
    assert run.series("train/loss")[40] < run.series("train/loss")[1] / 2


def test_rewards_of_a_pattern_are_learnt(bench: Bench, base: Outcome) -> None:
    """Any answer with an "e": a bandit that even this model can win."""
    reward = {"name": "remax", "reward": "pattern", "pattern": "e", "max_tokens": 3, "kl": 0, "top_p": 1.0}
    run = bench.run(
        asked("remax", steps=60, batch_size=16, objective=reward, optimizer={"name": "adamw", "lr": 3e-3}),
        inputs=inputs(base),
    )
    told = run.series("reward/sampled")
    assert sum(told[step] for step in range(51, 61)) > sum(told[step] for step in range(1, 11))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": {"name": "dpo"}, "data": REFERENCE}, "preference"),
        ({"objective": {"name": "distillation"}, "data": REFERENCE}, "teacher"),
        ({"objective": {"name": "inverted_hinge"}, "data": REFERENCE}, "retention_data"),
        ({"objective": {"name": "dpo"}, "model": {"source": "builtin", "name": "nano-vit"},
          "data": {"source": "builtin", "name": "digits"}}, "image_classification"),
        ({"objective": {"name": "remax", "pattern": "("}, "data": QUESTIONS}, "regular expression"),
    ],
)  # fmt: skip
def test_what_an_objective_needs_is_said_before_anything_is_queued(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        spec.parse({"kind": "finetune", "model": BASE, **changes})


def test_masked_tokens_are_learnt(bench: Bench) -> None:
    bert = {"source": "config", "architecture": "bert", "layers": 1, "width": 32, "heads": 2, "context": 64}
    changes = {"model": bert, "task": "masked_lm", "steps": 80, "batch_size": 16, "sequence_length": 32,
               "eval_every": 0, "checkpoint_every": 0, "optimizer": {"name": "adamw", "lr": 1e-2}}  # fmt: skip
    whole = bench.run(changes)
    assert whole.series("train/loss")[80] < whole.series("train/loss")[1] - 1.5
    first = bench.run(changes, should_stop=after(50))
    second = bench.run(changes, resume_from=first.work_dir / "checkpoints/step-50")
    assert same(second.weights(), whole.weights())
