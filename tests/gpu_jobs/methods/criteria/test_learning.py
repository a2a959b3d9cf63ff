"""What every criterion that learns keeps: its pause, its count of trained numbers, the mask through retraining."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from safetensors.torch import load_file

from gpu_jobs import spec as specs
from gpu_jobs.engine.pruning import masks
from gpu_jobs.events import Failed, Log, Phase, Result
from tests.gpu_jobs.methods.criteria.learning import LEARNING, learned
from tests.gpu_jobs.training import TINY, Bench, Outcome, after, same

PST = {"name": "pst", "rank": 2, "score_rank": 3}
MASKLLM = {"name": "maskllm"}
LORAPRUNE = {"name": "loraprune", "rank": 2, "every": 1}
HESSO = {"name": "hesso", "unit": "heads+ffn"}
LEARNERS = [PST, MASKLLM, LORAPRUNE, HESSO]
NAMES = [str(method["name"]) for method in LEARNERS]
RETRAIN = {"method": {"name": "full"}, "steps": 3, "batch_size": 4, "optimizer": {"name": "adamw", "lr": 1e-2}}
SHAPES = [(16, 16)] * 8 + [(48, 16)] * 4 + [(16, 48)] * 2  # (out, in) of two blocks' layers


def series(run: Outcome) -> dict[str, dict[int, float]]:
    names = {"train/loss", "train/grad_norm", "prune/sparsity", "prune/mask_change", "prune/temperature", "prune/left"}
    return {name: run.series(name) for name in names}


@pytest.fixture(scope="module", params=LEARNERS, ids=NAMES)
def method(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


@pytest.fixture(scope="module")
def whole(bench: Bench, base: Outcome, method: dict[str, Any]) -> Outcome:
    """The run that nothing stops."""
    return learned(bench, base, method)


def test_a_pause_changes_no_bit_of_what_is_learned_and_told(
    bench: Bench, base: Outcome, method: dict[str, Any], whole: Outcome
) -> None:
    first = learned(bench, base, method, should_stop=after(3))
    second = learned(bench, base, method, resume_from=first.work_dir / "checkpoints/step-3")
    assert isinstance(whole.last, Result), whole.last
    assert same(whole.weights(), second.weights())
    one, two, all_of_it = series(first), series(second), series(whole)
    for name, values in all_of_it.items():
        assert one[name] | two[name] == values, name
    assert second.last.values["quality"] == whole.last.values["quality"]
    assert second.last.values["sparsity"] == whole.last.values["sparsity"]


def test_what_goes_stays_away_in_the_retraining_that_follows(
    bench: Bench, base: Outcome, method: dict[str, Any], whole: Outcome
) -> None:
    run = learned(bench, base, method, {"retrain": RETRAIN})
    assert [event.name for event in run.of(Phase)] == ["dense", "learn", "retrain", "save"]
    assert sorted(run.series("train/loss")) == list(range(1, 10))
    assert sorted(run.series("pruned/eval/loss")) == [6]
    assert sorted(run.series("eval/loss")) == [9]
    told = run.last.values
    assert told["quality"]["pruned"] == whole.last.values["quality"]["pruned"]
    assert told["quality"]["recovered"]["eval/loss"] == run.series("eval/loss")[9]
    assert whole.last.values["quality"]["recovered"] is None
    assert told["sparsity"]["layers"] == whole.last.values["sparsity"]["layers"]
    if told["masks"]:
        kept = masks.load(run.work_dir / "masks.safetensors")
        assert same(kept, masks.load(whole.work_dir / "masks.safetensors"))
        weights = load_file(run.work_dir / "model/model.safetensors")
        assert not any(weights[f"{name}.weight"][~mask].any() for name, mask in kept.items())
    first = learned(bench, base, method, {"retrain": RETRAIN}, should_stop=after(7))  # in the retraining
    folder = first.work_dir / "checkpoints/step-7"
    second = learned(bench, base, method, {"retrain": RETRAIN}, resume_from=folder)
    assert same(second.weights(), run.weights())
    assert {**first.series("train/loss"), **second.series("train/loss")} == run.series("train/loss")
    assert second.last.values["quality"] == told["quality"]


TRAINED = {
    "pst": sum((2 + 3) * (i + o) + o + i for o, i in SHAPES),
    "maskllm": sum(6 * o * i // 4 for o, i in SHAPES),
    "loraprune": sum(2 * (i + o) for o, i in SHAPES),
    "hesso": 10_864,
}


def test_as_many_numbers_are_trained_as_the_formula_has(base: Outcome, method: dict[str, Any], whole: Outcome) -> None:
    assert base.facts["parameters"]["total"] == 10_864
    assert any(f"{TRAINED[method['name']]:,} of them trained" in event.message for event in whole.of(Log))
    assert whole.last.values["parameters"]["trained"] == TRAINED[method["name"]]


@pytest.mark.parametrize(("pattern", "sparsity", "each"), [("1:4", 0.75, 4 / 4), ("4:8", 0.5, 70 / 8)])
def test_other_patterns_have_as_many_logits_as_choices(
    bench: Bench, base: Outcome, pattern: str, sparsity: float, each: float
) -> None:
    asked = MASKLLM | {"pattern": pattern, "sparsity": sparsity}
    run = learned(bench, base, asked, {"learning": {"steps": 1, "batch_size": 4}})
    trained = sum(int(each * o * i) for o, i in SHAPES)
    assert any(f"{trained:,} of them trained" in event.message for event in run.of(Log))


def test_nothing_but_the_pruned_matrices_moves_unless_all_is_trained(
    base: Outcome, method: dict[str, Any], whole: Outcome
) -> None:
    before = base.weights()
    still = {name: value.equal(before[name]) for name, value in whole.weights().items() if "_proj" not in name}
    assert len(still) == len(before) - 14
    assert set(still.values()) == {method["name"] != "hesso"}


def test_it_learns_in_bfloat16_in_parts_and_with_activations_computed_twice(
    bench: Bench, base: Outcome, method: dict[str, Any], whole: Outcome
) -> None:
    how = {"precision": "bf16", "learning": LEARNING | {"accumulation": 2, "gradient_checkpointing": True}}
    run = learned(bench, base, method, how)
    assert isinstance(run.last, Result), run.last
    assert run.series("train/loss") == pytest.approx(whole.series("train/loss"), rel=0.02)
    assert run.last.values["sparsity"]["measured"] == 0.5
    assert {value.dtype for value in run.weights().values()} == {value.dtype for value in base.weights().values()}


def test_nothing_asked_for_is_nothing_learned(bench: Bench, base: Outcome, method: dict[str, Any]) -> None:
    run = learned(bench, base, method | {"sparsity": 0})
    assert same(run.weights(), base.weights())
    assert not run.series("train/loss")
    assert run.last.values["sparsity"]["measured"] == 0


@pytest.fixture(scope="module")
def gpt2(bench: Bench) -> Outcome:
    size = {"source": "config", "architecture": "gpt2", "layers": 2, "width": 16, "heads": 2, "context": 32}
    return bench.run({"model": size, "steps": 2})


@pytest.mark.parametrize("method", [LORAPRUNE | {"unit": "ffn"}, HESSO | {"unit": "ffn"}], ids=["loraprune", "hesso"])
def test_gpt2_loses_channels_too(bench: Bench, gpt2: Outcome, method: dict[str, Any]) -> None:
    run = learned(bench, gpt2, method)
    assert isinstance(run.last, Result), run.last
    assert {name: tuple(v.shape) for name, v in run.weights().items() if "h.0.mlp" in name} == {
        "transformer.h.0.mlp.c_fc.weight": (16, 32), "transformer.h.0.mlp.c_fc.bias": (32,),
        "transformer.h.0.mlp.c_proj.weight": (32, 16), "transformer.h.0.mlp.c_proj.bias": (16,),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": PST, "learning": None}, "learns its masks: set learning.steps"),
        ({"method": PST | {"pattern": "2:4"}}, "pattern '2:4' is not for 'pst'"),
        ({"method": MASKLLM | {"pattern": "unstructured"}}, "pattern 'unstructured' is not for 'maskllm'"),
        ({"method": LORAPRUNE | {"unit": "blocks"}}, "unit 'blocks' is not for 'loraprune'"),
        ({"method": PST, "allocation": "erk"}, "allocation must be uniform with method 'pst'"),
        ({"method": PST, "schedule": {"name": "gradual"}, "retrain": {"steps": 2}}, "schedule must be one_shot"),
        ({"method": PST, "learning": LEARNING | {"accumulation": 3}}, "accumulation"),
    ],
)
def test_what_can_t_be_is_refused_before_anything_is_queued(changes: dict[str, Any], words: str) -> None:
    asked = {"kind": "prune", "model": {"source": "builtin"}, "data": TINY["data"], "learning": LEARNING}
    with pytest.raises(ValidationError, match=words):
        specs.parse(asked | changes)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (LORAPRUNE | {"sparsity": 0.8}, "0.8 of 2 heads leaves none"),
        (HESSO | {"sparsity": 0.99, "unit": "ffn"}, "0.99 of 48 channels leaves none"),
        (PST | {"sparsity": 0.98}, "leaves none of its 16 inputs"),
    ],
)
def test_what_the_model_rules_out_is_one_sentence_before_a_step(
    bench: Bench, base: Outcome, method: dict[str, Any], words: str
) -> None:
    run = learned(bench, base, method)
    assert isinstance(run.last, Failed)
    assert words in run.last.message
    assert not run.series("train/loss")
