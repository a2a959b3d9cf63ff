"""Retraining what was pruned by a few parameters: zeros are zeros still, and little is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

import gpu_jobs
from gpu_jobs import spec as specs
from gpu_jobs.engine.pruning import masks
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import TINY, Bench, Outcome

MASK_SAFE = ["mask_lora", "scale_lora", "lora_prune"]
UNSTRUCTURED, PATTERN = {"sparsity": 0.5}, {"sparsity": 0.5, "pattern": "2:4"}
GPT2 = {"source": "config", "architecture": "gpt2", "layers": 2, "width": 16, "heads": 2, "context": 32}


@pytest.fixture(scope="module")
def gpt2(bench: Bench) -> Outcome:
    """A model with biases and tied embeddings."""
    return bench.run({"model": GPT2})


def pruned(bench: Bench, base: Outcome, method: dict[str, Any], retrain: dict[str, Any] | None) -> Outcome:
    settings = {"steps": 8, "batch_size": 4, "checkpoint_every": 0, "optimizer": {"name": "adamw", "lr": 1e-2}}
    asked = {
        "kind": "prune", "model": {"source": "run", "run": 7}, "data": TINY["data"], "sequence_length": 16,
        "batch_size": 4, "eval_batches": 2, "calibration": {"samples": 8}, "method": {"name": "wanda"} | method,
        "retrain": retrain and settings | {"method": retrain},
    }  # fmt: skip
    context = bench.context(inputs={"run:7": base.work_dir / "model"})
    return Outcome(list(gpu_jobs.run(specs.parse(asked), context)), context.work_dir)


def weights(run: Outcome) -> dict[str, torch.Tensor]:
    return load_file(run.work_dir / "model/model.safetensors")


def kept(folder: Path) -> dict[str, torch.Tensor]:
    return masks.load(folder / "masks.safetensors")


@pytest.mark.parametrize("name", MASK_SAFE)
@pytest.mark.parametrize("pattern", [UNSTRUCTURED, PATTERN], ids=["unstructured", "2:4"])
def test_zeros_survive_a_lora_that_leaves_them_alone(
    bench: Bench, base: Outcome, name: str, pattern: dict[str, Any]
) -> None:
    run = pruned(bench, base, pattern, {"name": name, "targets": "all"})
    found = weights(run)
    for layer, mask in kept(run.work_dir).items():
        assert not found[f"{layer}.weight"][~mask].any(), layer
        assert int(mask.sum()) == mask.numel() // 2
        if "pattern" in pattern:
            assert (mask.view(-1, 4).sum(1) == 2).all()
    quality = run.last.values["quality"]
    assert run.last.values["drop"] is None  # merging has filled nothing that had to be emptied again
    assert run.last.values["sparsity"]["measured"] == pytest.approx(0.5, abs=1e-3)
    assert quality["recovered"]["eval/loss"] < quality["pruned"]["eval/loss"]


def test_what_a_plain_lora_put_on_zeros_is_told_before_merging_loses_it(bench: Bench, base: Outcome) -> None:
    run = pruned(bench, base, UNSTRUCTURED, {"name": "lora_prune", "targets": "all"})
    (share,) = run.series("dropped/share").values()
    assert 0 < share < 1


@pytest.mark.parametrize("name", [*MASK_SAFE, None])
def test_perp_trains_biases_norms_and_an_adapter_and_keeps_zeros(bench: Bench, gpt2: Outcome, name: str | None) -> None:
    adapter = name and {"name": name, "targets": "all", "rank": 2}
    before = pruned(bench, gpt2, PATTERN, None)
    run = pruned(bench, gpt2, PATTERN, {"name": "perp", "adapter": adapter})
    old, new, mask = weights(before), weights(run), kept(run.work_dir)
    assert mask.keys() == kept(before.work_dir).keys()
    for key, value in new.items():
        layer = key.removesuffix(".weight")
        if layer in mask:
            assert not value[~mask[layer].T].any(), key
            assert value.equal(old[key]) == (name is None)
        else:
            assert value.equal(old[key]) == (key.endswith(("wte.weight", "wpe.weight"))), key
    trained = sum(value.numel() for key, value in old.items() if ".ln_" in key or "ln_f" in key or key.endswith("bias"))
    ranks = sum(2 * sum(value.shape) for value in mask.values()) if name else 0
    assert run.last.values["parameters"]["trained"] == trained + ranks
    assert run.last.values["drop"] is None
    assert run.last.values["quality"]["recovered"]["eval/loss"] < run.last.values["quality"]["pruned"]["eval/loss"]


def test_without_retraining_nothing_was_trained(bench: Bench, base: Outcome) -> None:
    assert pruned(bench, base, UNSTRUCTURED, None).last.values["parameters"]["trained"] == 0


def test_a_fine_tuning_of_the_pruned_model_keeps_zeros_too_and_a_later_run_starts_from_it(
    bench: Bench, base: Outcome
) -> None:
    first = pruned(bench, base, UNSTRUCTURED, None)
    asked = {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": {"name": "perp"}}
    tuned = bench.run(asked, inputs={"run:1": first.work_dir / "model"})
    again = {
        "kind": "finetune", "model": {"source": "run", "run": 2}, "steps": 1,
        "method": {"name": "perp", "adapter": None},  # of this llama the norms alone
    }  # fmt: skip
    inputs = {"run:2": tuned.work_dir / "model", "run:2/base": first.work_dir / "model"}
    merged = bench.run(again, inputs=inputs)
    for layer, mask in kept(first.work_dir).items():
        value = weights(merged)[f"{layer}.weight"]
        assert not value[~mask].any() and not value.equal(weights(first)[f"{layer}.weight"])
    assert merged.last.values["before"] == pytest.approx(tuned.last.values["quality"], rel=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_an_output_layer_is_trained_where_it_is_not_the_embedding(bench: Bench, tied: bool) -> None:
    own = bench.run({"model": TINY["model"] | {"tie_embeddings": tied}})
    run = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": {"name": "perp", "head": True}},
        inputs={"run:1": own.work_dir / "model"},
    )
    stored = load_file(run.work_dir / "model/adapter.safetensors")
    assert ("lm_head.weight" in stored) is not tied and "model.embed_tokens.weight" not in stored
    assert run.facts["plan"]["parameters"] == run.facts["parameters"]


def test_an_adapter_that_fills_zeros_is_refused() -> None:
    with pytest.raises(ValidationError, match="fills zeros: choose mask_lora, scale_lora, lora_prune"):
        specs.parse({**TINY, "kind": "finetune", "method": {"name": "perp", "adapter": {"name": "lora"}}})


def test_nothing_to_train_is_an_error(bench: Bench) -> None:
    with pytest.raises(MethodError, match="nothing to train"):
        jobs.job(bench, {"name": "perp", "adapter": None, "norms": False})  # a llama has no biases
