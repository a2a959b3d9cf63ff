"""A compressed model: smaller on the file, judged as read back, retrained in its new form, and the start of others."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import gpu_jobs
from gpu_jobs import cost
from gpu_jobs import spec as specs
from gpu_jobs.__main__ import main as command
from gpu_jobs.engine import compressed
from gpu_jobs.errors import MethodError
from gpu_jobs.events import Checkpoint, Failed, Result, Started, Stopped
from tests.gpu_jobs.training import TINY, Bench, Outcome, after, same

RETRAIN = {"method": {"name": "full"}, "optimizer": {"name": "adamw", "lr": 1e-2}, "steps": 6, "batch_size": 4,
           "eval_every": 3, "checkpoint_every": 2}  # fmt: skip
SVD = {"name": "lowrank_svd", "ratio": 2}
INT4 = {"name": "ptq_rtn", "format": "int4", "granularity": "group", "group": 8}
METHODS = [SVD, {"name": "afm", "ratio": 2}, INT4]
TEXT = torch.arange(24).view(2, 12)


def compress(bench: Bench, base: Outcome, changes: dict[str, Any] | None = None, **options: Any) -> Outcome:
    """The compression of a run's model."""
    asked = {
        "kind": "compress", "model": {"source": "run", "run": 7}, "data": TINY["data"], "sequence_length": 16,
        "batch_size": 4, "eval_batches": 2, "calibration": {"samples": 16}, "method": SVD,
    }  # fmt: skip
    context = bench.context(inputs={"run:7": base.work_dir / "model"}, **options)
    return Outcome(list(gpu_jobs.run(specs.parse(asked | (changes or {})), context)), context.work_dir)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(TEXT).logits
    return found


def later(bench: Bench, run: Outcome, changes: dict[str, Any]) -> Outcome:
    """A run of another kind that starts from the compressed model."""
    context = bench.context(inputs={"run:1": run.work_dir / "model"})
    asked = {"model": {"source": "run", "run": 1}, "data": TINY["data"], "sequence_length": 16, "batch_size": 4,
             "eval_batches": 2}  # fmt: skip
    return Outcome(list(gpu_jobs.run(specs.parse(asked | changes), context)), context.work_dir)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method["name"])
def test_the_result_is_what_the_file_holds(bench: Bench, base: Outcome, method: dict[str, Any]) -> None:
    run = compress(bench, base, {"method": method})
    values = run.last.values
    assert [type(event) for event in (run.events[0], run.last)] == [Started, Result]
    file = run.work_dir / "model/compressed.safetensors"
    assert values["bytes"]["stored"] == file.stat().st_size < values["bytes"]["dense"]
    model = compressed.load(run.work_dir / "model")
    assert values["parameters"]["total"] == compressed.values(model)
    assert values["quality"]["dense"] == pytest.approx(base.last.values["quality"], rel=1e-6)
    assert values["quality"]["pruned"]["eval/loss"] == list(run.series("eval/loss").values())[-1]
    assert values["sparsity"] is None and values["masks"] is None and values["drop"] is None
    assert len(values["layers"]) == 14


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method["name"])
def test_a_later_run_reads_the_file_and_computes_the_quality_that_was_told(
    bench: Bench, base: Outcome, method: dict[str, Any]
) -> None:
    run = compress(bench, base, {"method": method})
    again = later(bench, run, {"kind": "evaluate"})
    assert again.last.values["quality"]["eval/loss"] == run.last.values["quality"]["pruned"]["eval/loss"]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method["name"])
def test_saved_and_loaded_it_computes_the_same_bits_and_expanded_the_same_function(
    bench: Bench, base: Outcome, method: dict[str, Any], tmp_path: Any
) -> None:
    run = compress(bench, base, {"method": method})
    model = compressed.load(run.work_dir / "model")
    compressed.save(model, tmp_path / "again")
    assert torch.equal(logits(compressed.load(tmp_path / "again")), logits(model))
    assert same(load_file(tmp_path / "again" / compressed.WEIGHTS), run.weights("model/compressed.safetensors"))
    torch.testing.assert_close(logits(compressed.load(run.work_dir / "model", plain=True)), logits(model))


def test_plain_transformers_refuses_the_folder_and_reads_what_export_writes(
    bench: Bench, base: Outcome, tmp_path: Any
) -> None:
    for number, method in enumerate(METHODS):
        run = compress(bench, base, {"method": method})
        with pytest.raises(OSError, match="safetensors"):
            AutoModelForCausalLM.from_pretrained(run.work_dir / "model")
        assert command(["export", str(run.work_dir / "model"), str(tmp_path / str(number))]) == 0
        plain = AutoModelForCausalLM.from_pretrained(tmp_path / str(number))
        torch.testing.assert_close(logits(plain), logits(compressed.load(run.work_dir / "model")))


def test_factors_are_retrained_and_a_pause_changes_no_bit(bench: Bench, base: Outcome) -> None:
    asked = {"retrain": RETRAIN}
    whole = compress(bench, base, asked)
    quality = whole.last.values["quality"]
    assert quality["recovered"]["eval/loss"] < quality["pruned"]["eval/loss"]
    assert whole.last.values["parameters"]["total"] == compress(bench, base).last.values["parameters"]["total"]
    first = compress(bench, base, asked, should_stop=after(3))
    assert isinstance(first.last, Stopped) and first.of(Checkpoint)[-1].step == 3
    second = compress(bench, base, asked, resume_from=first.work_dir / "checkpoints/step-3")
    assert same(whole.weights("model/compressed.safetensors"), second.weights("model/compressed.safetensors"))
    assert second.last.values["quality"] == quality


def test_an_adapter_on_codes_is_merged_and_rounded_again(bench: Bench, base: Outcome) -> None:
    lora = {"name": "lora", "rank": 4, "targets": "all"}
    run = compress(bench, base, {"method": INT4, "retrain": RETRAIN | {"method": lora}})
    values, untrained = run.last.values, compress(bench, base, {"method": INT4})
    assert values["bytes"]["stored"] == untrained.last.values["bytes"]["stored"]
    assert values["quality"]["pruned"] == untrained.last.values["quality"]["pruned"]
    assert values["drop"]["after"] == values["quality"]["recovered"]
    assert values["drop"]["before"]["eval/loss"] < values["quality"]["pruned"]["eval/loss"]


def test_the_flops_are_those_of_the_factors(bench: Bench, base: Outcome) -> None:
    values = compress(bench, base).last.values
    model = compressed.load(compress(bench, base).work_dir / "model")
    saved = sum(
        2 * 16 * (layer.in_features * layer.out_features - layer.rank * (layer.in_features + layer.out_features))
        for layer in compressed.layers(model).values()
    )
    assert values["flops"]["dense"] - values["flops"]["stored"] == saved > 0


def test_latency_is_measured_at_the_lengths_that_fit(bench: Bench, base: Outcome) -> None:
    assert compress(bench, base).last.values["latency_by_length"] == {}  # a context of 32
    model = {"source": "config", "architecture": "llama", "layers": 2, "width": 16, "heads": 2, "context": 512}
    values = compress(bench, base, {"model": model}).last.values
    assert sorted(values["latency_by_length"]) == ["128", "512"]
    assert all(each["dense_s"] > 0 < each["stored_s"] for each in values["latency_by_length"].values())


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "finetune", "steps": 4, "eval_every": 0, "optimizer": {"name": "adamw", "lr": 1e-2}},
        {"kind": "prune", "method": {"name": "wanda", "targets": ["down", "up"]}, "calibration": {"samples": 8}},
    ],
    ids=lambda changes: changes["kind"],
)
def test_later_kinds_start_from_factors_and_keep_them(bench: Bench, base: Outcome, changes: dict[str, Any]) -> None:
    run = compress(bench, base)
    again = later(bench, run, changes)
    assert isinstance(again.last, Result), again.last
    before, found = (compressed.load(each.work_dir / "model") for each in (run, again))
    assert compressed.layers(found).keys() == compressed.layers(before).keys()
    assert not torch.equal(logits(found), logits(before))
    assert again.series("eval/loss")


def test_an_adapter_trains_on_codes_as_ordinary_weights(bench: Bench, base: Outcome) -> None:
    run = compress(bench, base, {"method": INT4})
    asked = {"kind": "finetune", "steps": 2, "eval_every": 0, "method": {"name": "lora", "rank": 2, "targets": "all"}}
    again = later(bench, run, asked)
    assert isinstance(again.last, Result)
    assert again.last.values["before"]["eval/loss"] == run.last.values["quality"]["pruned"]["eval/loss"]


def test_an_adapter_finds_factors_by_their_names_alone(bench: Bench, base: Outcome) -> None:
    run, asked = compress(bench, base), {"kind": "finetune", "steps": 2}
    refused = later(bench, run, asked | {"method": {"name": "lora"}})
    assert isinstance(refused.last, Failed) and "choose among down, lm_head, up" in refused.last.message
    assert isinstance(later(bench, run, asked | {"method": {"name": "lora", "targets": ["down", "up"]}}).last, Result)


def test_a_model_that_was_cut_is_planned_only_once_it_is_seen(bench: Bench, base: Outcome) -> None:
    run = compress(bench, base)
    asked = specs.parse({"kind": "evaluate", "model": {"source": "run", "run": 1}, "data": TINY["data"]})
    assert cost.plan(asked, {"run:1": run.facts}).parameters == {"total": None, "trainable": None}
    assert cost.plan(asked, {"run:1": base.facts}).parameters["total"]


def test_the_plan_is_the_sum_of_the_phases(bench: Bench) -> None:
    asked = {"kind": "compress", "model": TINY["model"], "data": TINY["data"], "sequence_length": 16, "batch_size": 4,
             "eval_batches": 2, "calibration": {"samples": 10}}  # fmt: skip
    shared = ("model", "data", "sequence_length", "batch_size", "eval_batches")
    judged = cost.plan(specs.parse({"kind": "evaluate"} | {name: asked[name] for name in shared}))
    plain = cost.plan(specs.parse(asked))
    assert plain.flops["total"] == 3 * int(judged.flops["total"] or 0) and plain.memory == judged.memory
    mimicked = cost.plan(specs.parse(asked | {"method": {"name": "afm"}}))
    once = int(judged.flops["per_step"] or 0) // 4
    assert mimicked.flops["total"] == plain.flops["total"] + 2 * 10 * once
    spec: Any = specs.parse(asked | {"retrain": RETRAIN | {"eval_every": 0}})
    trained = cost.plan(spec.training(spec.retrain))
    retrained = cost.plan(spec)
    assert retrained.flops["total"] == 4 * judged.flops["total"] + trained.flops["total"]  # type: ignore[operator]
    assert retrained.memory == trained.memory and retrained.parameters == trained.parameters


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": {"name": "lowrank_svd", "ratio": 1}}, "greater than 1"),
        ({"method": {"name": "pela"}}, "set learning.steps"),
        ({"learning": {"steps": 3}}, "learning is for methods that learn their form"),
        ({"method": INT4, "retrain": {"method": {"name": "full"}}}, "retrain.method must be an adapter"),
        ({"retrain": {"method": {"name": "lora"}}}, "retrain.method can't be the adapter 'lora'"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], words: str) -> None:
    asked = {"kind": "compress", "model": TINY["model"], "data": TINY["data"], "sequence_length": 16}
    with pytest.raises(ValidationError, match=words):
        specs.parse(asked | changes)


def test_a_rank_that_saves_nothing_is_refused_before_it_is_queued() -> None:
    asked = {"kind": "compress", "model": TINY["model"], "data": TINY["data"], "sequence_length": 16}
    with pytest.raises(MethodError, match=r"method.rank 8 saves nothing: 8 x \(16 \+ 16\) = 256 weights") as caught:
        cost.plan(specs.parse(asked | {"method": {"name": "lowrank_svd", "rank": 8}}))
    assert caught.value.field == "method.rank"
    cost.plan(specs.parse(asked | {"method": {"name": "lowrank_svd", "rank": 7}}))


@pytest.mark.parametrize(("kept", "words"), [({"format": 2}, "of format 2"), (None, "missing"), ("{", "can't be read")])
def test_a_damaged_folder_is_named(bench: Bench, base: Outcome, kept: Any, words: str) -> None:
    run = compress(bench, base)
    about = run.work_dir / "model" / compressed.ABOUT
    if kept is None:
        weights = run.weights("model/compressed.safetensors")
        weights.popitem()
        save_file(weights, run.work_dir / "model" / compressed.WEIGHTS)
    else:
        about.write_text(kept if isinstance(kept, str) else json.dumps(json.loads(about.read_text()) | kept))
    again = later(bench, run, {"kind": "evaluate"})
    assert isinstance(again.last, Failed) and words in again.last.message
