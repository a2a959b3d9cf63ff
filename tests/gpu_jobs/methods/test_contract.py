"""What every method promises. New files in the registry are tested here without a word more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gpu_jobs import cost, registry, spec
from gpu_jobs.engine import optim
from gpu_jobs.engine.job import Job, prepare
from gpu_jobs.engine.loop import update
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.errors import JobError
from gpu_jobs.spec import Training
from tests.gpu_jobs.training import TINY, Bench, Outcome, distance, same

WEIGHTS = [(family, name) for family in ("strategies", "adapters") for name in registry.methods(family)]
ADAPTERS = sorted(registry.methods("adapters"))
OPTIMIZERS = sorted(registry.methods("optimizers"))
IDS = torch.arange(32).reshape(2, 16)


def finetune(changes: dict[str, Any]) -> Training:
    data = {"kind": "finetune", "model": {"source": "run", "run": 1}, "steps": 4, "checkpoint_every": 0}
    parsed = spec.parse({**TINY, **data, **changes})
    assert isinstance(parsed, Training)
    return parsed


def job(bench: Bench, base: Outcome, changes: dict[str, Any]) -> Job:
    context = bench.context(inputs={"run:1": base.work_dir / "model"})
    return prepare(finetune(changes), context, ALONE)


def logits(model: Any) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS).logits
    return found


@pytest.mark.parametrize(("family", "name"), WEIGHTS)
def test_it_begins_at_the_base_model_exactly(bench: Bench, base: Outcome, family: str, name: str) -> None:
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(base.work_dir / "model")
    ready = job(bench, base, {"method": {"name": name}})
    assert logits(ready.bare).equal(logits(plain))


@pytest.mark.parametrize(("family", "name"), WEIGHTS)
def test_the_plan_counts_its_parameters_exactly(bench: Bench, base: Outcome, family: str, name: str) -> None:
    ready = job(bench, base, {"method": {"name": name}})
    planned = cost.plan(ready.spec, {"run:1": base.facts})
    assert planned.parameters == ready.facts["parameters"]
    trained = sum(value.numel() for value in optim.trainable(ready.bare).values())
    assert planned.parameters["trainable"] == trained
    assert trained > 0


@pytest.mark.parametrize(("family", "name"), WEIGHTS)
def test_frozen_parameters_keep_every_bit_and_all_others_move(
    bench: Bench, base: Outcome, family: str, name: str
) -> None:
    ready = job(bench, base, {"method": {"name": name}})
    before = {key: value.detach().clone() for key, value in ready.bare.named_parameters()}
    for step in range(3):
        optim.set_rate(ready.spec, ready.optimizer, step)
        update(ready, step)
    for key, value in ready.bare.named_parameters():
        assert value.equal(before[key]) is not value.requires_grad, key


@pytest.mark.parametrize(("family", "name"), WEIGHTS)
def test_the_seed_decides_everything(bench: Bench, base: Outcome, family: str, name: str) -> None:
    def trained(seed: int) -> dict[str, torch.Tensor]:
        ready = job(bench, base, {"method": {"name": name}, "seed": seed})
        optim.set_rate(ready.spec, ready.optimizer, 2)
        update(ready, 0)
        return {key: value.detach() for key, value in optim.trainable(ready.bare).items()}

    first = trained(1)
    assert same(first, trained(1))
    assert not same(first, trained(2))


@pytest.mark.parametrize(("family", "name"), WEIGHTS)
def test_what_is_saved_computes_the_same_bits_when_it_is_loaded(
    bench: Bench, base: Outcome, family: str, name: str
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from gpu_jobs.engine import export

    ready = job(bench, base, {"method": {"name": name}})
    optim.set_rate(ready.spec, ready.optimizer, 2)
    update(ready, 0)
    expected = logits(ready.bare)
    folder = export.save(ready.spec, ready.bare, None, ready.data.tokenizer, ready.context.work_dir)
    if family == "adapters":
        plain = AutoModelForCausalLM.from_pretrained(base.work_dir / "model")
        loaded = PeftModel.from_pretrained(plain, folder)
    else:
        loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert logits(loaded).equal(expected)
    assert only_safe_files(folder)


@pytest.mark.parametrize("name", ADAPTERS)
def test_merged_weights_compute_what_the_adapter_did(bench: Bench, base: Outcome, name: str) -> None:
    ready = job(bench, base, {"method": {"name": name}})
    for step in range(3):
        optim.set_rate(ready.spec, ready.optimizer, step)
        update(ready, step)
    expected, start = logits(ready.bare), logits(ready.bare.get_base_model())
    merged = logits(ready.bare.merge_and_unload())
    assert distance({"": merged}, {"": expected}) < 1e-5
    assert start.shape == expected.shape


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_later_run_starts_from_the_adapter_as_it_was(bench: Bench, base: Outcome, name: str) -> None:
    first = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": {"name": name}},
        inputs={"run:1": base.work_dir / "model"},
    )
    inputs = {"run:2": first.work_dir / "model", "run:2/base": base.work_dir / "model"}
    parsed = finetune({"model": {"source": "run", "run": 2}, "method": {"name": "full"}})
    ready = prepare(parsed, bench.context(inputs=inputs), ALONE)
    from gpu_jobs.engine.evaluation import evaluate

    assert evaluate(ready)["eval/loss"] == pytest.approx(first.last.values["quality"]["eval/loss"], abs=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_lowers_the_loss_of_one_batch(bench: Bench, base: Outcome, name: str) -> None:
    ready = job(bench, base, {"optimizer": {"name": name}, "schedule": {"name": "constant"}})
    optim.set_rate(ready.spec, ready.optimizer, 0)
    losses = [float(update(ready, 0)[0]) for _ in range(10)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_target_that_is_not_there_is_an_error_that_names_those_that_are(
    bench: Bench, base: Outcome, name: str
) -> None:
    if "targets" not in registry.methods("adapters")[name].knobs.model_fields:
        pytest.skip("it has no targets")
    with pytest.raises(JobError, match="q_proj"):
        job(bench, base, {"method": {"name": name, "targets": ["nowhere"]}})


def only_safe_files(folder: Path) -> bool:
    return {path.suffix for path in folder.rglob("*") if path.is_file()} <= {".safetensors", ".json", ".md", ".txt"}
