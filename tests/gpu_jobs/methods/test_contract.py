"""What every method promises. New files in the registry are tested here without a word more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gpu_jobs import cost, registry, spec
from gpu_jobs.engine import adapters, checkpoint, optim
from gpu_jobs.engine.job import Job, prepare
from gpu_jobs.engine.loop import _begin, update
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.errors import JobError, MethodError
from gpu_jobs.events import Metrics
from gpu_jobs.spec import Training
from tests.gpu_jobs.training import LORA, TINY, Bench, Outcome, after, distance, same

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


@pytest.fixture(scope="session")
def bases(bench: Bench, base: Outcome) -> list[Outcome]:
    """A llama, and for methods that it doesn't serve a gpt2, which has biases."""
    gpt2 = {"source": "config", "architecture": "gpt2", "layers": 2, "width": 16, "heads": 2, "context": 32}
    return [base, bench.run({"model": gpt2})]


@pytest.fixture
def fit(bench: Bench, bases: list[Outcome], name: str) -> Outcome:
    """The first base that this method can be put on."""
    for found in bases:
        try:
            job(bench, found, {"method": {"name": name}})
        except MethodError as error:
            refused = error
        else:
            return found
    raise refused


def logits(model: Any) -> torch.Tensor:
    """Of the text: what a method puts before it is cut off."""
    model.eval()
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS).logits[:, -IDS.shape[1] :]
    return found


@pytest.mark.parametrize(("family", "name"), WEIGHTS)
def test_it_begins_at_the_base_model_exactly(bench: Bench, fit: Outcome, family: str, name: str) -> None:
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(fit.work_dir / "model")
    ready = job(bench, fit, {"method": {"name": name}})
    off = distance({"": logits(ready.bare)}, {"": logits(plain)})
    assert (off < 1e-5) is getattr(registry.methods(family)[name].module, "STARTS_AT_BASE", True)


@pytest.mark.parametrize(("family", "name"), WEIGHTS)
def test_what_is_told_of_the_base_is_the_base(bench: Bench, fit: Outcome, family: str, name: str) -> None:
    """Or nothing, where the method changes the model as it begins."""
    ready = job(bench, fit, {"method": {"name": name}, "eval_before": True})
    list(_begin(ready))
    assert ready.before or getattr(registry.methods(family)[name].module, "STARTS_AT_BASE", True) is False
    for metric, value in ready.before.items():
        assert value == pytest.approx(fit.last.values["quality"][metric], rel=1e-4)


@pytest.mark.parametrize(("family", "name"), WEIGHTS)
def test_the_plan_counts_its_parameters_exactly(bench: Bench, fit: Outcome, family: str, name: str) -> None:
    ready = job(bench, fit, {"method": {"name": name}})
    planned = cost.plan(ready.spec, {"run:1": fit.facts})
    assert planned.parameters == ready.facts["parameters"]
    assert planned.parameters["trainable"] == ready.hooks.trainable_values() > 0


@pytest.mark.parametrize(("family", "name"), WEIGHTS)
def test_frozen_parameters_keep_every_bit_and_all_others_move(
    bench: Bench, fit: Outcome, family: str, name: str
) -> None:
    ready = job(bench, fit, {"method": {"name": name}})
    before = {key: value.detach().clone() for key, value in ready.bare.named_parameters()}
    for step in range(3):
        update(ready, step, optim.set_rate(ready.spec, ready.optimizer, step))
    trained = ready.hooks.trained()
    moved = {key for key, value in ready.bare.named_parameters() if key not in before or not value.equal(before[key])}
    assert moved <= trained.keys()
    assert moved == trained.keys() or registry.method_of(ready.spec.method).module.__dict__.get("IS_PARTIAL")


@pytest.mark.parametrize(("family", "name"), WEIGHTS)
def test_the_seed_decides_everything(bench: Bench, fit: Outcome, family: str, name: str) -> None:
    def trained(seed: int) -> dict[str, torch.Tensor]:
        ready = job(bench, fit, {"method": {"name": name}, "seed": seed})
        update(ready, 0, optim.set_rate(ready.spec, ready.optimizer, 2))
        return {key: value.detach() for key, value in optim.trainable(ready.bare).items()}

    first = trained(1)
    assert same(first, trained(1))
    assert not same(first, trained(2))


@pytest.mark.parametrize(("family", "name"), WEIGHTS)
def test_what_is_saved_computes_the_same_bits_when_it_is_loaded(
    bench: Bench, fit: Outcome, family: str, name: str
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from gpu_jobs.engine import export

    ready = job(bench, fit, {"method": {"name": name}})
    update(ready, 0, optim.set_rate(ready.spec, ready.optimizer, 2))
    if getattr(registry.methods(family)[name].module, "ENDS_PLAIN", False):
        ready.hooks.finish()
    expected = logits(ready.bare)
    folder = export.save(ready.spec, ready.bare, None, ready.data.tokenizer, ready.context.work_dir)
    plain = AutoModelForCausalLM.from_pretrained(fit.work_dir / "model")
    if adapters.is_peft(ready.bare):
        loaded = PeftModel.from_pretrained(plain, folder)
    elif optim.is_adapter(ready.spec):
        loaded = adapters.load(folder, plain)
    else:
        loaded = AutoModelForCausalLM.from_pretrained(folder)
    allowed = getattr(registry.methods(family)[name].module, "TOLERANCE", 0.0)
    assert distance({"": logits(loaded)}, {"": expected}) <= allowed
    assert only_safe_files(folder)


@pytest.mark.parametrize(("family", "name"), WEIGHTS)
def test_stopped_and_resumed_it_ends_with_the_same_bits(bench: Bench, fit: Outcome, family: str, name: str) -> None:
    inputs = {"run:1": fit.work_dir / "model"}
    asked = {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": {"name": name}, "steps": 6,
             "eval_every": 0, "checkpoint_every": 0, "optimizer": {"name": "adamw", "lr": 1e-2}}  # fmt: skip
    whole = bench.run(asked, inputs=inputs)
    first = bench.run(asked, inputs=inputs, should_stop=after(4))
    second = bench.run(asked, inputs=inputs, resume_from=first.work_dir / "checkpoints/step-4")
    for name in {name for event in whole.of(Metrics) for name in event.values if steady(name)}:
        assert first.series(name) | second.series(name) == whole.series(name), name
    kept = [path.name for path in (whole.work_dir / "model").glob("*.safetensors")]
    assert all(same(second.weights(f"model/{file}"), whole.weights(f"model/{file}")) for file in kept)


@pytest.mark.parametrize("name", ADAPTERS)
def test_merged_weights_compute_what_the_adapter_did(bench: Bench, fit: Outcome, name: str) -> None:
    ready = job(bench, fit, {"method": {"name": name}})
    for step in range(3):
        update(ready, step, optim.set_rate(ready.spec, ready.optimizer, step))
    expected = logits(ready.bare)
    if not adapters.can_merge(ready.spec.method):
        with pytest.raises(MethodError, match="merged"):
            adapters.merge(ready.bare)
        return
    assert distance({"": logits(adapters.merge(ready.bare))}, {"": expected}) < 1e-5


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_later_run_starts_from_the_adapter_as_it_was(bench: Bench, fit: Outcome, name: str) -> None:
    first = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": {"name": name}},
        inputs={"run:1": fit.work_dir / "model"},
    )
    inputs = {"run:2": first.work_dir / "model", "run:2/base": fit.work_dir / "model"}
    parsed = finetune({"model": {"source": "run", "run": 2}, "method": {"name": "full"}})
    if not adapters.can_merge(first_knobs(name)):
        with pytest.raises(JobError, match="merged"):
            prepare(parsed, bench.context(inputs=inputs), ALONE)
        return
    ready = prepare(parsed, bench.context(inputs=inputs), ALONE)
    from gpu_jobs.engine.evaluation import evaluate

    assert evaluate(ready)["eval/loss"] == pytest.approx(first.last.values["quality"]["eval/loss"], abs=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_lowers_the_loss_of_one_batch(bench: Bench, base: Outcome, name: str) -> None:
    ready = job(bench, base, {"optimizer": {"name": name}, "schedule": {"name": "constant"}})
    optim.set_rate(ready.spec, ready.optimizer, 0)
    losses = [float(update(ready, 0)[0]) for _ in range(10)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("method", [{"name": "full"}, LORA], ids=["full", "lora"])
def test_the_plan_knows_every_byte_of_an_optimizer_s_state(
    bench: Bench, base: Outcome, name: str, method: dict[str, Any]
) -> None:
    """Counters of one number, which torch keeps on the CPU, are not memory of the GPU."""
    ready = job(bench, base, {"optimizer": {"name": name}, "method": method})
    update(ready, 0)
    states = [state.values() for state in ready.optimizer.state.values()]
    kept = sum(value.nbytes for values in states for value in values if value is not None and value.ndim)
    assert cost.plan(ready.spec, {"run:1": base.facts}).memory["optimizer"] == kept


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_on_from_a_checkpoint_bit_for_bit(bench: Bench, base: Outcome, name: str) -> None:
    changes = {"optimizer": {"name": name}}
    first = job(bench, base, changes)
    for step in range(2):
        optim.set_rate(first.spec, first.optimizer, step)
        update(first, step)
    first.progress.step = 2
    folder = first.save_checkpoint()
    inputs = {"run:1": base.work_dir / "model"}
    second = prepare(finetune(changes), bench.context(inputs=inputs, resume_from=folder), ALONE)
    for step in (2, 3):
        for ready in (first, second):
            update(ready, step, optim.set_rate(ready.spec, ready.optimizer, step))
        assert same(optim.trainable(second.bare), optim.trainable(first.bare))
        states = [checkpoint.optimizer_tensors(ready.hooks.optimized(), ready.optimizer) for ready in (first, second)]
        assert same(*states)
        assert [value.dtype for value in states[0].values()] == [value.dtype for value in states[1].values()]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_has_every_trained_weight_once_and_no_other(bench: Bench, base: Outcome, name: str) -> None:
    ready = job(bench, base, {"optimizer": {"name": name}, "method": LORA})
    held = [weight for group in ready.optimizer.param_groups for weight in group["params"]]
    assert sorted(map(id, held)) == sorted(map(id, optim.trainable(ready.bare).values()))


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_target_that_is_not_there_is_an_error_that_names_those_that_are(
    bench: Bench, base: Outcome, name: str
) -> None:
    if "targets" not in registry.methods("adapters")[name].knobs.model_fields:
        pytest.skip("it has no targets")
    with pytest.raises(JobError, match="q_proj"):
        job(bench, base, {"method": {"name": name, "targets": ["nowhere"]}})


def steady(name: str) -> bool:
    """Whether a series is the same whenever it is run."""
    return not name.startswith("system/") and not name.endswith("_per_second")


def first_knobs(name: str) -> registry.Knobs:
    return registry.methods("adapters")[name].knobs(name=name)


def only_safe_files(folder: Path) -> bool:
    return {path.suffix for path in folder.rglob("*") if path.is_file()} <= {".safetensors", ".json", ".md", ".txt"}
