"""A pruned model: as sparse as asked on the file, judged before and after, retrained with its zeros kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import gpu_jobs
from gpu_jobs import spec as specs
from gpu_jobs.engine.pruning import masks
from gpu_jobs.events import Artifact, Checkpoint, Failed, Metrics, Phase, Result, Started, Stopped
from tests.gpu_jobs.training import TINY, Bench, Outcome, after, same

WANDA = {"name": "wanda", "sparsity": 0.5}
RETRAIN = {"method": {"name": "full"}, "steps": 6, "batch_size": 4, "eval_every": 3, "checkpoint_every": 2}


def pruned(bench: Bench, base: Outcome, changes: dict[str, Any] | None = None, **options: Any) -> Outcome:
    """The pruning of a run's model."""
    asked = {
        "kind": "prune", "model": {"source": "run", "run": 7}, "data": TINY["data"], "sequence_length": 16,
        "batch_size": 4, "eval_batches": 2, "calibration": {"samples": 16}, "method": WANDA,
    }  # fmt: skip
    context = bench.context(inputs={"run:7": base.work_dir / "model"}, **options)
    return Outcome(list(gpu_jobs.run(specs.parse(asked | (changes or {})), context)), context.work_dir)


def matrices(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of the layers that are pruned, by layer."""
    weights = load_file(folder / "model.safetensors")
    return {name.removesuffix(".weight"): value for name, value in weights.items() if "_proj" in name}


def test_half_of_every_row_is_zero_on_the_file_and_the_masks_say_where(bench: Bench, base: Outcome) -> None:
    run = pruned(bench, base)
    kept = masks.load(run.work_dir / "masks.safetensors")
    found = matrices(run.work_dir / "model")
    assert kept.keys() == found.keys() and len(kept) == 14
    for name, weight in found.items():
        assert torch.equal(weight != 0, kept[name])
        assert ((weight == 0).sum(1) == weight.shape[1] // 2).all()
    assert run.last.values["sparsity"] | {"whole": 0} == {
        "target": 0.5, "measured": 0.5, "whole": 0, "pattern": "unstructured", "layers": dict.fromkeys(found, 0.5),
    }  # fmt: skip


def test_the_result_is_what_the_file_costs_and_the_quality_that_of_the_file(bench: Bench, base: Outcome) -> None:
    run = pruned(bench, base)
    values, weights = run.last.values, load_file(run.work_dir / "model/model.safetensors")
    assert [type(event) for event in (run.events[0], run.last)] == [Started, Result]
    assert values["quality"]["dense"] == pytest.approx(base.last.values["quality"], rel=1e-6)
    assert values["quality"]["pruned"]["eval/loss"] == list(run.series("eval/loss").values())[-1]
    assert values["quality"]["recovered"] is None
    assert values["parameters"]["total"] == sum(map(torch.Tensor.numel, weights.values()))
    assert values["parameters"]["nonzero"] == sum(int((w != 0).sum()) for w in weights.values())
    assert values["bytes"]["stored"] == (run.work_dir / "model/model.safetensors").stat().st_size
    assert values["bits_per_parameter"] == 8 * values["bytes"]["stored"] / values["parameters"]["dense"]
    assert values["latency"]["dense_s"] > 0 < values["latency"]["stored_s"]
    assert [event.path for event in run.of(Artifact)] == ["model", "masks.safetensors"]
    assert run.series("sparsity/measured") == {0: 0.5}


def test_transformers_loads_what_is_stored_and_computes_the_quality_that_was_told(bench: Bench, base: Outcome) -> None:
    run = pruned(bench, base)
    model = AutoModelForCausalLM.from_pretrained(run.work_dir / "model")
    judged = specs.parse(
        {"kind": "evaluate", "model": {"source": "run", "run": 1}, "data": TINY["data"], "sequence_length": 16,
         "batch_size": 4, "eval_batches": 2}
    )  # fmt: skip
    again = list(gpu_jobs.run(judged, bench.context(inputs={"run:1": run.work_dir / "model"})))[-1]
    assert model.config.use_cache
    assert again.values["quality"]["eval/loss"] == run.last.values["quality"]["pruned"]["eval/loss"]  # type: ignore[attr-defined]


def test_no_sparsity_is_the_model_as_it_was(bench: Bench, base: Outcome) -> None:
    run = pruned(bench, base, {"method": WANDA | {"sparsity": 0}})
    assert same(run.weights(), base.weights())
    assert run.last.values["sparsity"]["measured"] == 0


@pytest.mark.parametrize(("pattern", "sparsity"), [("2:4", 0.5), ("4:8", 0.5), ("1:4", 0.75)])
def test_of_every_m_neighbours_n_are_kept(bench: Bench, base: Outcome, pattern: str, sparsity: float) -> None:
    n, m = map(int, pattern.split(":"))
    run = pruned(bench, base, {"method": WANDA | {"pattern": pattern, "sparsity": sparsity}})
    for mask in masks.load(run.work_dir / "masks.safetensors").values():
        assert (mask.view(-1, m).sum(1) == n).all()


@pytest.mark.parametrize("method", [{"name": "full"}, {"name": "mask_lora"}, {"name": "lora", "targets": "all"}])
def test_the_zeros_survive_the_retraining(bench: Bench, base: Outcome, method: dict[str, Any]) -> None:
    run = pruned(bench, base, {"retrain": RETRAIN | {"method": method, "optimizer": {"name": "adamw", "lr": 1e-2}}})
    kept = masks.load(run.work_dir / "masks.safetensors")
    before = pruned(bench, base)
    for name, weight in matrices(run.work_dir / "model").items():
        assert not weight[~kept[name]].any()
        assert torch.equal(kept[name], masks.load(before.work_dir / "masks.safetensors")[name])
    values = run.last.values
    assert values["quality"]["pruned"] == before.last.values["quality"]["pruned"]
    assert values["quality"]["recovered"]["eval/loss"] < values["quality"]["pruned"]["eval/loss"]
    assert max(run.series("train/loss")) == 6
    assert (values["drop"] is not None) == (method["name"] == "lora")  # a plain LoRA fills zeros when it is merged


def test_a_pause_changes_no_bit(bench: Bench, base: Outcome) -> None:
    asked = {"retrain": RETRAIN | {"optimizer": {"name": "adamw", "lr": 1e-2}}}
    whole = pruned(bench, base, asked)
    first = pruned(bench, base, asked, should_stop=after(3))
    assert [type(event) for event in first.events[-2:]] == [first.events[-2].__class__, Stopped]
    second = pruned(bench, base, asked, resume_from=first.work_dir / "checkpoints/step-3")
    assert second.events[0].step == 3  # type: ignore[attr-defined]
    assert same(whole.weights(), second.weights())
    assert second.last.values["quality"] == whole.last.values["quality"]
    assert {**first.series("train/loss"), **second.series("train/loss")} == whole.series("train/loss")


def test_rounds_take_the_same_share_of_what_is_left_and_steps_go_on(bench: Bench, base: Outcome) -> None:
    schedule = {"name": "iterative", "rounds": 2}
    run = pruned(bench, base, {"method": {"name": "magnitude", "sparsity": 0.75}, "schedule": schedule,
                               "retrain": RETRAIN})  # fmt: skip
    assert run.last.values["sparsity"]["measured"] == 0.75
    assert sorted(run.series("train/loss")) == list(range(1, 13))
    assert sorted(run.series("pruned/eval/loss")) == [0, 6]
    assert run.events[0].steps == 12  # type: ignore[attr-defined]


def test_a_pause_in_a_later_round_changes_no_bit(bench: Bench, base: Outcome) -> None:
    asked = {"method": {"name": "magnitude", "sparsity": 0.75}, "retrain": RETRAIN,
             "schedule": {"name": "iterative", "rounds": 2, "rewind": True}}  # fmt: skip
    whole = pruned(bench, base, asked)
    first = pruned(bench, base, asked, should_stop=after(9))
    assert first.of(Checkpoint)[-1].step == 9
    second = pruned(bench, base, asked, resume_from=first.work_dir / first.of(Checkpoint)[-1].folder)
    assert same(whole.weights(), second.weights())
    assert second.last.values["sparsity"] == whole.last.values["sparsity"]


def test_a_lottery_ticket_goes_back_to_the_weights_it_began_with(bench: Bench, base: Outcome) -> None:
    asked = {"method": {"name": "magnitude", "sparsity": 0.5},
             "schedule": {"name": "iterative", "rounds": 1, "rewind": True},
             "retrain": RETRAIN | {"optimizer": {"name": "sgd", "lr": 1e-30}}}  # fmt: skip
    run = pruned(bench, base, asked)  # a rate that moves nothing: the ticket is the first model, masked
    first, kept = matrices(base.work_dir / "model"), masks.load(run.work_dir / "masks.safetensors")
    for name, weight in matrices(run.work_dir / "model").items():
        assert torch.equal(weight, first[name] * kept[name])
    assert sorted(run.series("train/loss")) == list(range(1, 13))


def test_gradual_pruning_follows_the_cubic_rule_and_a_pause_changes_no_bit(bench: Bench, base: Outcome) -> None:
    retrain = RETRAIN | {"steps": 12, "optimizer": {"name": "adamw", "lr": 1e-2}}
    asked = {"method": {"name": "magnitude", "sparsity": 0.8}, "retrain": retrain,
             "schedule": {"name": "gradual", "every": 2, "until": 0.75}}  # fmt: skip
    whole = pruned(bench, base, asked)
    told = whole.series("prune/sparsity")
    for step in (3, 5, 7, 9):  # said after the step that began with the pruning at step - 1
        assert told[step] == pytest.approx(0.8 * (1 - (1 - (step - 1) / 9) ** 3))
    assert whole.last.values["sparsity"]["measured"] == pytest.approx(0.8, abs=1 / 256)
    first = pruned(bench, base, asked, should_stop=after(5))
    second = pruned(bench, base, asked, resume_from=first.work_dir / "checkpoints/step-5")
    assert same(whole.weights(), second.weights())


@pytest.mark.parametrize("unit", ["ffn", "heads", "heads+ffn", "blocks"])
def test_a_structured_model_is_really_smaller_and_transformers_loads_it(bench: Bench, base: Outcome, unit: str) -> None:
    method = {"name": "magnitude", "sparsity": 0.5, "pattern": "structured", "unit": unit}
    run = pruned(bench, base, {"method": method, "retrain": RETRAIN})
    values = run.last.values
    model = AutoModelForCausalLM.from_pretrained(run.work_dir / "model")
    assert sum(p.numel() for p in model.parameters()) == values["parameters"]["total"] < values["parameters"]["dense"]
    assert values["flops"]["stored"] < values["flops"]["dense"]
    assert values["bytes"]["stored"] < values["bytes"]["dense"]
    assert values["sparsity"]["measured"] == 0.5
    model.generate(torch.tensor([[1, 2, 3]]), max_new_tokens=3, do_sample=False)  # caches know the blocks' numbers


def test_it_is_judged_on_every_data_set_that_is_named(bench: Bench, base: Outcome) -> None:
    run = pruned(bench, base, {"evaluate": [{"source": "builtin", "name": "stdlib-source"}]})
    assert {"eval/loss", "stdlib-source/loss"} <= run.last.values["quality"]["dense"].keys()
    assert run.series("stdlib-source/loss")


def test_without_data_it_is_judged_on_what_it_is_calibrated_or_to_be_judged_with() -> None:
    plain = {"kind": "prune", "model": {"source": "builtin"}, "method": WANDA}
    one = specs.parse(plain | {"calibration": {"data": {"source": "builtin", "name": "stdlib-source"}}})
    two = specs.parse(plain | {"evaluate": [{"source": "builtin", "name": "stdlib-source"}]})
    assert one.data.name == two.data.name == "stdlib-source" and not two.evaluate  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": WANDA | {"pattern": "2:4", "sparsity": 0.6}}, "sparsity must be 0.5 with pattern 2:4"),
        ({"allocation": "erk", "method": WANDA | {"pattern": "2:4"}}, "allocation must be uniform"),
        ({"schedule": {"name": "iterative"}}, "needs retrain"),
        ({"schedule": {"name": "gradual"}, "retrain": {"method": {"name": "lora"}}}, "all weights retrained"),
        ({"retrain": {"method": {"name": "prompt"}}}, "can't be merged into the weights"),
        ({"retrain": {"steps": 0}}, "greater than or equal to 1"),
        ({"learning": {"steps": 5}}, "learns? their masks"),
        ({"method": WANDA | {"pattern": "structured", "targets": "mlp"}}, "unit says what is removed"),
    ],
)
def test_what_can_t_be_is_refused_with_its_rule(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        specs.parse({"kind": "prune", "model": {"source": "builtin"}, "data": TINY["data"], "method": WANDA} | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"calibration": {"samples": 1_000_000}}, "calibration.samples asks for 1,000,000 samples"),
        ({"method": WANDA | {"sparsity": 0.99}}, "leaves none of its 16 inputs"),
        ({"method": WANDA | {"targets": ["nothing"]}}, "is in no layer of this model"),
        ({"method": WANDA | {"pattern": "structured", "unit": "blocks", "sparsity": 0.9}}, "2 blocks leaves none"),
    ],
)
def test_what_the_model_or_the_data_rule_out_is_one_sentence(
    bench: Bench, base: Outcome, changes: dict[str, Any], words: str
) -> None:
    run = pruned(bench, base, changes)
    assert isinstance(run.last, Failed) and words in run.last.message
    assert not (run.work_dir / "model").exists()


def test_the_phases_are_told(bench: Bench, base: Outcome) -> None:
    run = pruned(bench, base, {"retrain": RETRAIN})
    assert [event.name for event in run.of(Phase)] == ["dense", "change", "retrain", "save"]
    assert set(run.series("dense/eval/loss")) == {0} and isinstance(run.of(Metrics)[0], Metrics)
