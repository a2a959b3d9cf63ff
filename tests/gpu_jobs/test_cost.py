"""Plans against real models: what torch builds, computes and keeps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gpu_jobs import cost, memory, shapes, spec
from gpu_jobs.sources import BUILTIN_MODELS, ConfigModel
from gpu_jobs.spec import Training
from tests.gpu_jobs.training import LORA, TINY

CLASSES = {
    "causal_lm": "AutoModelForCausalLM",
    "masked_lm": "AutoModelForMaskedLM",
    "sequence_classification": "AutoModelForSequenceClassification",
    "image_classification": "AutoModelForImageClassification",
}
MODELS = {
    "llama": ("causal_lm", ConfigModel(architecture="llama", layers=2, width=48, heads=4, kv_heads=2, ffn=80)),
    "llama untied": ("causal_lm", ConfigModel(architecture="llama", layers=1, width=32, heads=4, tie_embeddings=False)),
    "llama classifier": ("sequence_classification", ConfigModel(architecture="llama", layers=1, width=32, heads=2)),
    "gpt2": ("causal_lm", ConfigModel(architecture="gpt2", layers=2, width=32, heads=2, context=64)),
    "gpt2 untied": ("causal_lm", ConfigModel(architecture="gpt2", layers=1, width=32, heads=2, tie_embeddings=False)),
    "gpt2 classifier": ("sequence_classification", ConfigModel(architecture="gpt2", layers=1, width=32, heads=2)),
    "bert": ("sequence_classification", ConfigModel(architecture="bert", layers=2, width=32, heads=2)),
    "bert masked": ("masked_lm", ConfigModel(architecture="bert", layers=2, width=32, heads=2)),
    "bert masked untied": (
        "masked_lm",
        ConfigModel(architecture="bert", layers=1, width=32, heads=2, tie_embeddings=False),
    ),
    "vit": (
        "image_classification",
        ConfigModel(architecture="vit", layers=2, width=32, heads=2, image_size=8, patch_size=2, channels=3),
    ),
}


def config_of(task: str, source: ConfigModel) -> dict[str, Any]:
    return source.config(vocab_size=258, labels=None if task.endswith("_lm") else 7)


def build(task: str, source: ConfigModel) -> Any:
    import transformers

    fields = config_of(task, source)
    config = transformers.AutoConfig.for_model(fields.pop("model_type"), **fields)
    config.use_cache = False
    return getattr(transformers, CLASSES[task]).from_config(config)


def inputs(task: str, source: ConfigModel, samples: int, length: int) -> dict[str, torch.Tensor]:
    if task == "image_classification":
        return {"pixel_values": torch.randn(samples, source.channels, source.image_size, source.image_size)}
    batch = {"input_ids": torch.ones(samples, length, dtype=torch.long)}
    return batch if task.endswith("_lm") else batch | {"attention_mask": torch.ones(samples, length, dtype=torch.long)}


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_has_the_name_and_shape_that_transformers_gives_it(name: str) -> None:
    task, source = MODELS[name]
    with torch.device("meta"):
        built = {name: tuple(value.shape) for name, value in build(task, source).named_parameters()}
    assert shapes.parameters(config_of(task, source), task) == built


@pytest.mark.parametrize("name", BUILTIN_MODELS)
def test_built_in_sizes_are_counted_exactly(name: str) -> None:
    source = BUILTIN_MODELS[name]
    task = {"vit": "image_classification", "bert": "sequence_classification"}.get(source.architecture, "causal_lm")
    with torch.device("meta"):
        count = sum(value.numel() for value in build(task, source).parameters())
    found = shapes.parameters(config_of(task, source), task)
    assert found is not None
    assert shapes.count(found) == count


@pytest.mark.parametrize(
    "name", ["llama", "llama untied", "bert", "bert masked", "bert masked untied", "vit", "llama classifier"]
)
def test_forward_flops_are_those_torch_counts(name: str) -> None:
    """GPT-2's Conv1D multiplies by addmm like the others; its counting is covered by the shapes."""
    task, source = MODELS[name]
    config, length = config_of(task, source), 16
    model = build(task, source)
    model.set_attn_implementation("eager")
    tokens = shapes.positions(config) if task == "image_classification" else length
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**inputs(task, source, 1, length))
    found = shapes.parameters(config, task)
    assert found is not None
    rotary = 2 * (source.width // source.heads // 2) * tokens if source.architecture == "llama" else 0  # angles
    assert cost.forward_flops(found, config, tokens) == pytest.approx(counter.get_total_flops() - rotary, rel=1e-3)


def training(changes: dict[str, Any]) -> Training:
    parsed = spec.parse({**TINY, **changes})
    assert isinstance(parsed, Training)
    return parsed


def test_full_training_costs_6nd_and_attention() -> None:
    parsed = training({"model": {"source": "config", "layers": 2, "width": 32, "heads": 2, "ffn": 64, "context": 32}})
    found = cost.plan(parsed)
    matrices = 2 * (4 * 32 * 32 + 3 * 32 * 64) + 258 * 32  # layers, and the tied output
    per_sample = 6 * matrices * 16 + 12 * 2 * 32 * 16**2
    assert found.flops["per_step"] == 4 * per_sample
    assert found.flops["total"] == 8 * 4 * per_sample
    assert found.tokens == 8 * 4 * 16


def test_training_flops_are_those_torch_counts() -> None:
    task, source = MODELS["llama"]
    model = build(task, source)
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        model(**inputs(task, source, 2, 16)).logits.sum().backward()
    config = config_of(task, source)
    found = shapes.parameters(config, task)
    assert found is not None
    parsed = training({"model": source.model_dump()})
    assert 2 * cost.flops_per_sample(parsed, found, found, config) == pytest.approx(counter.get_total_flops(), rel=2e-3)


def test_an_adapter_saves_the_gradients_of_frozen_weights() -> None:
    whole = cost.plan(training({"kind": "finetune"}))
    adapter = cost.plan(training({"kind": "finetune", "method": LORA}))
    matrices = 2 * (4 * 16 * 16 + 3 * 16 * 48) + 258 * 16
    added, attention = adapter.parameters["trainable"], 12 * 2 * 16 * 16**2
    assert whole.flops["per_step"] == 4 * (6 * matrices * 16 + attention)
    assert added is not None
    assert adapter.flops["per_step"] == 4 * ((4 * matrices + 6 * added) * 16 + attention)


def test_a_masked_model_is_planned_with_its_output_and_the_token_that_masks() -> None:
    found = cost.plan(training({"model": {"source": "builtin", "name": "nano-bert"}, "task": "masked_lm"}))
    fields = BUILTIN_MODELS["nano-bert"].config(vocab_size=259)
    expected = shapes.parameters(fields, "masked_lm")
    assert expected is not None and found.parameters["total"] == shapes.count(expected)
    assert expected["cls.predictions.bias"] == (259,)


def test_gradient_checkpointing_adds_a_forward() -> None:
    plain, again = (cost.plan(training({"gradient_checkpointing": on})).flops["total"] for on in (False, True))
    assert again / plain == pytest.approx(4 / 3)  # type: ignore[operator]


def kept_bytes(name: str, layers: int, samples: int, *, bf16: bool) -> int:
    """Bytes of the tensors that autograd saves in one forward of a model with so many layers."""
    task, source = MODELS[name]
    model = build(task, source.model_copy(update={"layers": layers})).train()
    weights, kept, alive = {value.untyped_storage().data_ptr() for value in model.parameters()}, {}, []

    def keep(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(value)  # so that its address is not used again
        return value

    saving = torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value)
    with saving, torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        model(**inputs(task, source, samples, 32))
    return sum(kept.values())


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("name", ["llama", "gpt2", "bert", "vit"])
def test_a_layer_keeps_the_bytes_that_the_table_says(name: str, bf16: bool) -> None:
    task, source = MODELS[name]
    config = config_of(task, source)
    tokens = shapes.positions(config) if task == "image_classification" else 32

    def of_layers(samples: int) -> int:
        return kept_bytes(name, 3, samples, bf16=bf16) - kept_bytes(name, 2, samples, bf16=bf16)

    measured = (of_layers(6) - of_layers(2)) / (4 * tokens)  # what does not grow with samples are copies of weights
    assert memory.layer_bytes(config, tokens, bf16=bf16) == pytest.approx(measured, rel=0.02)


def test_memory_is_four_bytes_a_weight_and_adds_up() -> None:
    found = cost.plan(training({}), bf16=False)
    total = found.parameters["total"]
    assert total is not None
    parts = found.memory
    assert (parts["weights"], parts["gradients"], parts["optimizer"]) == (4 * total, 4 * total, 8 * total)
    assert parts["total"] == sum(value for name, value in parts.items() if name != "total" and value is not None)


def test_sharing_halves_what_two_gpus_hold_of_the_state() -> None:
    alone = cost.plan(training({}), bf16=False).memory
    shared = cost.plan(training({"gpus": 2, "parallel": "fsdp"}), bf16=False).memory
    for part in ("weights", "gradients", "optimizer", "activations"):
        assert shared[part] == alone[part] // 2  # type: ignore[operator]


def test_a_run_is_planned_from_the_facts_of_its_base() -> None:
    config = config_of(*MODELS["llama"])
    changes = {"kind": "finetune", "model": {"source": "run", "run": 4}}
    base = {"run:4": {"model": {"config": config}}}
    found = shapes.parameters(config, "causal_lm")
    assert found is not None
    assert cost.plan(training(changes), base).parameters["total"] == shapes.count(found)


def test_what_only_the_worker_can_see_is_planned_as_unknown() -> None:
    found = cost.plan(training({"kind": "finetune", "model": {"source": "hub", "id": "someone/something"}}))
    assert found.parameters == {"total": None, "trainable": None}
    assert found.memory["total"] is None
    assert found.tokens == 8 * 4 * 16
