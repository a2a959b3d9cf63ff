"""How many numbers each of PEFT's methods trains: by its equation on one layer, and as built on every architecture."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from gpu_jobs import registry, shapes
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.engine import adapters, optim
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.test_lora import build

I, O = 64, 96  # noqa: E741 - one layer's inputs and outputs
# what the equation in the method's file says for that layer
ONE_LAYER: dict[str, tuple[dict[str, Any], int]] = {
    "lora": ({"rank": 8}, 8 * (I + O)),
    "rslora": ({"rank": 8}, 8 * (I + O)),
    "dora": ({"rank": 8}, 8 * (I + O) + O),
    "pissa": ({"rank": 8}, 8 * (I + O)),
    "olora": ({"rank": 8}, 8 * (I + O)),
    "orthogonal": ({"rank": 8}, 8 * (I + O)),
    "mica": ({"rank": 8}, 8 * I),
    "corda": ({"rank": 8}, 8 * (I + O)),
    "eva": ({"rank": 8}, 8 * (I + O)),
    "lora_ga": ({"rank": 8}, 8 * (I + O)),
    "kasa": ({"rank": 8}, 8 * (I + O) + 8),
    "velora": ({"rank": 8}, 8 * (I + O)),
    "adalora": ({"init_rank": 12, "target_rank": 8}, 12 * (I + O) + 12),
    "ia3": ({}, O),
    "vera": ({"rank": 256}, 256 + O),
    "pvera": ({"rank": 256}, 2 * 256 + O),
    "loha": ({"rank": 8}, 2 * 8 * (I + O)),
    "lokr": ({"rank": 2}, 8 * 8 + 2 * (I // 8 + O // 8)),  # 64 = 8 x 8, 96 = 8 x 12
    "oft": ({"block": 16}, (I // 16) * 16 * 15 // 2),
    "boft": ({"block": 4}, I * 4 + O),
    "hra": ({"rank": 8}, 8 * I),
    "hira": ({"rank": 8}, 8 * (I + O)),
    "fourierft": ({"frequencies": 100}, 100),
    "waveft": ({"frequencies": 100}, 100),
    "vblora": ({"rank": 2, "vectors": 90, "length": 16}, 90 * 16 + 2 * (I // 16 + O // 16) * 90),
    "shira": ({"rank": 32}, 32 * (I + O)),
    "supertuning": ({"sparsity": 0.99}, 61),  # 0.01 x 6144, rounded down
    "randlora": ({"rank": 32}, 2 * (32 + I)),  # two updates of rank 32 for the smaller side 64
    "c3a": ({"block": 16}, I * O // 16),
    "delora": ({"rank": 8}, 8 * (I + O) + 1),
    "miss": ({"rank": 8}, 8 * O),
    "road": ({"group": 16}, O),
    "unilora": ({"length": 50}, 50),
    "gralora": ({"rank": 8, "blocks": 2}, 8 * (I + O)),
    "psoft": ({"rank": 8}, 8 * 7 // 2 + 2 * 8),
    "tinylora": ({"numbers": 10}, 10),
    "peanut": ({"rank": 8, "depth": 1}, 2 * 8 * O + 2 * 8 * 8),
    "beft": ({}, O),
    "deft": ({"rank": 8}, 8 * (I + O)),
    "frod": ({"sparsity": 0.99}, I + 40),  # 0.01 x 64^2, rounded down
    "glora": ({"rank": 8}, 2 * 8 * (I + O)),
}
SMALL: dict[str, dict[str, Any]] = {  # what fits layers of 16 and 24
    "adalora": {"init_rank": 4, "target_rank": 2},
    "beft": {},
    "boft": {},
    "c3a": {},
    "cartridge": {"tokens": 3},
    "fourierft": {},
    "frod": {"sparsity": 0.9},
    "ia3": {},
    "kasa": {"rank": 3},
    "ln_tuning": {},
    "lokr": {"rank": 2, "factor": 5},
    "oft": {"block": 6},
    "p_tuning": {"tokens": 3},
    "prefix": {"tokens": 3, "hidden": 5},
    "prompt": {"tokens": 3},
    "psoft": {"rank": 4},
    "road": {"variant": "road_4"},
    "supertuning": {"sparsity": 0.9},
    "tinylora": {},
    "unilora": {},
    "waveft": {},
}
ARCHITECTURES = {"llama": "causal_lm", "gpt2": "causal_lm", "bert": "sequence_classification",
                 "vit": "image_classification"}  # fmt: skip
# GPT-2's layers are Conv1D, and images have no tokens to put others before
LINEAR_ONLY = {"beft", "boft", "c3a", "delora", "glora", "hra", "kasa", "loha", "lokr", "miss", "oft", "olora",
               "peanut", "psoft", "road", "shira", "supertuning"}  # fmt: skip
TEXT_ONLY = {"cartridge", "p_tuning", "prefix", "prompt"}
PEFT = [name for name, method in registry.methods("adapters").items() if hasattr(method.module, "peft_config")]


def knobs_of(name: str, changes: dict[str, Any]) -> Any:
    return registry.methods("adapters")[name].knobs(name=name, **changes)


def anatomy_of(architecture: str) -> Anatomy:
    model = build(architecture)
    plain = {name: tuple(value.shape) for name, value in model.named_parameters()}
    config = model.config.to_dict() | {"num_labels": model.config.num_labels}
    return Anatomy(config, plain, ARCHITECTURES[architecture])


def test_every_method_of_peft_is_counted_here() -> None:
    others = {"adaption_prompt", "cartridge", "ln_tuning", "p_tuning", "prefix", "prompt"}
    assert set(PEFT) == ONE_LAYER.keys() | others


@pytest.mark.parametrize("name", ONE_LAYER)
def test_one_layer_is_counted_as_the_equation_says(name: str) -> None:
    changes, count = ONE_LAYER[name]
    one = Anatomy({"model_type": "llama"}, {"model.layers.0.self_attn.q_proj.weight": (O, I)})
    assert shapes.count(registry.methods("adapters")[name].module.sizes(knobs_of(name, changes), one)) == count


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", PEFT)
def test_the_plan_counts_what_peft_builds(name: str, architecture: str) -> None:
    module, task, model = registry.methods("adapters")[name].module, ARCHITECTURES[architecture], build(architecture)
    changes = SMALL.get(name, {"rank": 4} if "rank" in registry.methods("adapters")[name].knobs.model_fields else {})
    targets = {"targets": "all"} if "targets" in registry.methods("adapters")[name].knobs.model_fields else {}
    knobs, seen = knobs_of(name, changes | targets), anatomy_of(architecture)
    if refused(name, architecture):
        with pytest.raises(MethodError, match=f"{name!r}|'adaption_prompt'"):
            module.sizes(knobs, seen)
        with pytest.raises(MethodError):
            adapters.attach(knobs, model, task=task, seed=0)
        return
    before = sum(value.numel() for value in model.parameters())
    built = adapters.attach(knobs, model, task=task, seed=0)
    frozen = module.frozen(knobs, seen) if hasattr(module, "frozen") else {}
    trained = module.sizes(knobs, seen)
    assert count(optim.trainable(built)) == shapes.count(trained | seen.head())
    assert count(optim.own_parameters(built)) == before + shapes.count(trained) + shapes.count(frozen)


@pytest.mark.parametrize("size", [None, 12])
def test_a_prefix_has_the_keys_of_shared_heads_only(size: int | None) -> None:
    """2 blocks x key and value x 1 shared head of 4 heads, of size 16 / 4 or its own, for 3 tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=1, vocab_size=9, **({"head_dim": size} if size else {}))  # fmt: skip
    model = LlamaForCausalLM(config)
    seen, knobs = adapters.anatomy_of(model, "causal_lm"), knobs_of("prefix", {"tokens": 3})
    planned = shapes.count(registry.methods("adapters")["prefix"].module.sizes(knobs, seen))
    built = adapters.attach(knobs, model, task="causal_lm", seed=0)
    assert planned == count(optim.trainable(built)) == 3 * 2 * 2 * (size or 4)


def refused(name: str, architecture: str) -> bool:
    if name == "adaption_prompt":
        return architecture not in ("llama", "gpt2")
    return (architecture == "gpt2" and name in LINEAR_ONLY) or (architecture == "vit" and name in TEXT_ONLY)


def count(parameters: dict[str, nn.Parameter]) -> int:
    return sum(value.numel() for value in parameters.values())
