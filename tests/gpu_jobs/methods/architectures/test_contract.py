"""What every architecture promises. A new file is tested here without a word more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode

from gpu_jobs import cost, registry, shapes, spec
from gpu_jobs.engine import objective
from gpu_jobs.engine.architectures import load
from gpu_jobs.engine.evaluation import evaluate
from gpu_jobs.engine.job import prepare
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.errors import JobError
from gpu_jobs.events import Failed, Result
from tests.gpu_jobs.methods.architectures.small import (
    IDS,
    build,
    config,
    disturb,
    inputs,
    logits,
    pairs,
    readings,
    source,
)
from tests.gpu_jobs.training import LORA, TINY, Bench, after, same

NAMES = sorted(registry.methods("architectures"))
PAIRS = pairs()
DATA = {"causal_lm": "language-reference", "image_classification": "digits"}
TRAINED = [(name, task) for name, task in PAIRS if task in DATA]


def pretraining(name: str, task: str = "causal_lm", **changes: Any) -> dict[str, Any]:
    data = {"source": "builtin", "name": DATA[task]}
    return {"model": source(name), "data": data, "steps": 4, "eval_every": 2, **changes}


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_a_plan_knows_every_weight_by_name_and_shape(name: str, task: str) -> None:
    built = {key: tuple(value.shape) for key, value in build(name, task).named_parameters()}
    assert shapes.parameters(config(name, task), task) == built


@pytest.mark.parametrize("name", NAMES)
def test_an_output_layer_of_its_own_is_counted_too(name: str) -> None:
    built = build(name, tie_embeddings=False)
    found = shapes.parameters(config(name, tie_embeddings=False), "causal_lm")
    assert found == {key: tuple(value.shape) for key, value in built.named_parameters()}
    assert found["lm_head.weight"] == (258, 32)


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_the_flops_of_a_forward_are_those_torch_counts(name: str, task: str) -> None:
    """In training mode, where routers leave tokens out; noise and dropped tokens are a router's own affair."""
    fields = config(name, task)
    model = build(name, task, **({"capacity": 100} if name == "widenet" else {}))
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**inputs(task, samples=1))
    found, length = shapes.parameters(fields, task), shapes.positions(fields) if "image" in task else 20
    assert found is not None
    assert cost.forward_flops(found, fields, length) == pytest.approx(counter.get_total_flops(), rel=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_token_to_come_changes_nothing_before_it(name: str) -> None:
    model = build(name)
    disturb(model)
    changed = IDS.clone()
    changed[:, 10:] = 99
    before, later = logits(model, input_ids=IDS), logits(model, input_ids=changed)
    assert torch.allclose(before[:, :10], later[:, :10], atol=1e-5)
    assert not torch.allclose(before[:, 10:], later[:, 10:], atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_no_class(name: str) -> None:
    model = build(name, "sequence_classification")
    disturb(model)
    padded = torch.nn.functional.pad(IDS[:1], (0, 6), value=257)
    mask = (padded != 257).long()
    if name == "thor":  # draws by place in the batch: one sample is drawn for as a whole
        model.config.drawn_in_evaluation = "sample"
    expected = logits(model, input_ids=IDS[:1], attention_mask=torch.ones_like(IDS[:1]))
    assert torch.allclose(logits(model, input_ids=padded, attention_mask=mask), expected, atol=1e-5)


@pytest.mark.parametrize(("name", "task"), TRAINED)
def test_it_trains_and_comes_back_bit_for_bit(bench: Bench, name: str, task: str) -> None:
    run = bench.run(pretraining(name, task))
    assert isinstance(run.last, Result), run.last
    assert run.facts["parameters"] == cost.plan(spec.parse({**TINY, **pretraining(name, task)})).parameters
    inherited = {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": {"name": "full"}}
    later = prepare(
        spec.parse({**TINY, **pretraining(name, task), **inherited}),  # type: ignore[arg-type]
        bench.context(inputs={"run:1": run.work_dir / "model"}),
        ALONE,
    )
    batch = inputs(task)
    assert logits(load(run.work_dir / "model"), **batch).equal(logits(later.bare, **batch))
    assert evaluate(later) == run.last.values["quality"]
    assert {path.suffix for path in (run.work_dir / "model").iterdir()} <= {".safetensors", ".json"}


@pytest.mark.parametrize(("name", "task"), TRAINED)
def test_lora_finetunes_it_and_a_plan_counts_that(bench: Bench, name: str, task: str) -> None:
    base = bench.run(pretraining(name, task))
    changes = {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": LORA}
    run = bench.run({**pretraining(name, task), **changes}, inputs={"run:1": base.work_dir / "model"})
    assert isinstance(run.last, Result), run.last
    parsed = spec.parse({**TINY, **pretraining(name, task), **changes})
    assert cost.plan(parsed, {"run:1": base.facts}).parameters == run.facts["parameters"]
    adapted = run.weights("model/adapter_model.safetensors")
    attention, others = ([key for key in adapted if ("self_attn" in key) is found] for found in (True, False))
    assert attention and any("mlp" in key for key in others)
    again = bench.run(
        {**pretraining(name, task), **changes, "model": {"source": "run", "run": 2}, "steps": 1},
        inputs={"run:2": run.work_dir / "model", "run:2/base": base.work_dir / "model"},
    )
    assert isinstance(again.last, Result), again.last


@pytest.mark.parametrize(("name", "task"), TRAINED)
def test_a_stopped_run_goes_on_bit_for_bit(bench: Bench, name: str, task: str) -> None:
    whole = bench.run(pretraining(name, task, steps=6, accumulation=2))
    stopped = bench.run(pretraining(name, task, steps=6, accumulation=2), should_stop=after(3))
    checkpoint = stopped.work_dir / "checkpoints/step-3"
    resumed = bench.run(pretraining(name, task, steps=6, accumulation=2), resume_from=checkpoint)
    assert same(resumed.weights(), whole.weights())
    assert resumed.series("train/loss") == {step: loss for step, loss in whole.series("train/loss").items() if step > 3}


@pytest.mark.parametrize("name", NAMES)
def test_evaluations_leave_the_training_as_it_was(bench: Bench, name: str) -> None:
    never, often = (bench.run(pretraining(name, eval_every=every)) for every in (0, 1))
    assert same(never.weights(), often.weights())


@pytest.mark.parametrize("name", NAMES)
def test_an_evaluation_says_the_same_each_time(name: str) -> None:
    model = build(name)
    state = torch.get_rng_state()
    assert logits(model, input_ids=IDS).equal(logits(model, input_ids=IDS))
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize("name", NAMES)
def test_activations_computed_twice_give_the_same_weights(bench: Bench, name: str) -> None:
    plain, again = (bench.run(pretraining(name, gradient_checkpointing=on)) for on in (False, True))
    assert plain.series("train/loss") == pytest.approx(again.series("train/loss"), rel=1e-6)


@pytest.mark.parametrize(("name", "task"), TRAINED)
def test_the_loss_falls(bench: Bench, name: str, task: str) -> None:
    fast = {"optimizer": {"name": "adamw", "lr": 3e-3}, "schedule": {"name": "constant", "warmup_steps": 2}}
    images = {"steps": 250, "batch_size": 16} if task == "image_classification" else {"steps": 60}
    run = bench.run(pretraining(name, task, eval_every=0, checkpoint_every=0, **fast, **images))
    losses = list(run.series("train/loss").values())
    assert sum(losses[-5:]) / 5 < 0.8 * sum(losses[:5]) / 5


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_the_auxiliary_loss_is_of_the_training_alone(name: str, task: str) -> None:
    torch.manual_seed(3)
    model, batch = build(name, task), inputs(task)
    batch["labels"] = batch["input_ids"] if task == "causal_lm" else torch.tensor([1, 2])
    count = objective.count(batch)
    state = torch.get_rng_state()
    output = model(**{key: value for key, value in batch.items() if key != "labels"})
    cross_entropy = torch.nn.functional.cross_entropy(
        objective.flat(output, batch), objective.targets(batch), reduction="sum"
    )
    extra = output.auxiliary_loss
    torch.set_rng_state(state)
    added = float(objective.loss_sum(model, batch) - cross_entropy)
    assert added == pytest.approx(0 if extra is None else float(extra) * count, abs=1e-4)
    assert float(objective.loss_sum(model.eval(), batch)) == pytest.approx(float(objective.judge(model, batch)["loss"]))


@pytest.mark.parametrize("name", NAMES)
def test_readings_are_of_the_training_since_the_last_time(name: str) -> None:
    model = build(name)
    assert readings(model) == {}
    model(input_ids=IDS)
    first = readings(model)
    assert all(key.startswith("router/") for key in first)
    assert readings(model) == {}
    logits(model, input_ids=IDS)
    assert readings(model) == {}


@pytest.mark.parametrize("name", NAMES)
def test_readings_are_series_of_the_run(bench: Bench, name: str) -> None:
    run = bench.run(pretraining(name))
    one = build(name)
    one(input_ids=IDS)
    for series in one.readings():
        assert list(run.series(series)) == [1, 2, 3, 4]


@pytest.mark.parametrize("name", NAMES)
def test_texts_packed_into_one_row_do_not_see_each_other(name: str) -> None:
    model = build(name)
    disturb(model)
    if name == "thor":
        model.config.drawn_in_evaluation = "sample"
    ids = IDS[:1]
    positions = torch.cat([torch.arange(8), torch.arange(12)])[None]
    packed = logits(model, input_ids=ids, position_ids=positions)
    alone = [logits(model, input_ids=part) for part in (ids[:, :8], ids[:, 8:])]
    assert torch.allclose(packed, torch.cat(alone, 1), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"width": 36, "heads": 8}, "width must be a multiple of 2 x heads: 36 is not a multiple of 16"),
        ({"layers": 0}, "greater than or equal to 1"),
        ({"wings": 2}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_size_is_told_by_its_name(name: str, knobs: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        spec.parse({**TINY, "model": source(name, **knobs)})
    error = caught.value.errors()[0]
    assert said in error["msg"]
    assert "architecture" in error["loc"]


@pytest.mark.parametrize("name", NAMES)
def test_a_text_longer_than_its_context_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="sequence_length must not exceed the model's context: 64 > 32"):
        spec.parse({**TINY, "model": source(name), "sequence_length": 64})


@pytest.mark.parametrize("name", [name for name in NAMES if (name, "image_classification") not in PAIRS])
def test_a_task_that_it_can_not_do_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"model architecture '{name}' can't do task 'image_classification'"):
        spec.parse({**TINY, "model": source(name), "data": {"source": "builtin", "name": "digits"}})


def test_generating_goes_on_from_a_prompt(bench: Bench) -> None:
    model = build("kat").eval()
    written = model.generate(IDS[:, :5], max_new_tokens=4, do_sample=False, pad_token_id=257)
    expected = IDS[:, :5]
    for _ in range(4):
        expected = torch.cat([expected, logits(model, input_ids=expected)[:, -1:].argmax(-1)], 1)
    assert written.equal(expected)


def test_a_folder_without_a_model_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"has no config\.json"):
        load(tmp_path)


def test_a_run_on_a_folder_of_another_task_is_told_what_is_missing(bench: Bench) -> None:
    images = bench.run(pretraining("kat", "image_classification", steps=1))
    run = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}}, inputs={"run:1": images.work_dir / "model"}
    )
    assert isinstance(run.last, Failed)
    assert "not complete for task 'causal_lm'" in run.last.message


@pytest.mark.parametrize("name", NAMES)
def test_optimizers_of_matrices_know_its_matrices(name: str) -> None:
    """Every linear layer of the stack is a hidden matrix; coefficients, norms and tables are none."""
    model = build(name)
    wanted = {f"{key}.weight" for key, layer in model.model.stack.named_modules() if isinstance(layer, torch.nn.Linear)}
    named = {key: tuple(value.shape) for key, value in model.named_parameters()}
    found = {key for key, shape in named.items() if shapes.is_hidden_matrix(key, shape)}
    assert found == {f"model.stack.{key}" for key in wanted}
