"""LoRA's targets on every architecture, and its folder in the hands of plain PEFT."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

from gpu_jobs import registry, shapes
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.engine import adapters, optim
from gpu_jobs.methods.adapters import lora
from tests.gpu_jobs.training import LORA, Bench, Outcome

TINY_CONFIGS: dict[str, tuple[str, dict[str, int]]] = {
    "llama": ("LlamaForCausalLM", {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
                                   "num_attention_heads": 2, "vocab_size": 9}),
    "gpt2": ("GPT2LMHeadModel", {"n_embd": 16, "n_head": 2, "n_layer": 2, "vocab_size": 9, "n_positions": 8}),
    "bert": ("BertForSequenceClassification", {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
                                               "num_attention_heads": 2, "vocab_size": 9}),
    "vit": ("ViTForImageClassification", {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
                                          "num_attention_heads": 2, "image_size": 8, "patch_size": 4}),
    "t5": ("T5ForConditionalGeneration", {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2,
                                          "vocab_size": 9}),
}  # fmt: skip
# linear layers of one block, by the architecture's definition; t5 has 2 encoder blocks and 2 decoder blocks (with
# a second attention)
LAYERS = {
    "llama": {"attention": 4 * 2, "mlp": 3 * 2},
    "gpt2": {"attention": 2 * 2, "mlp": 2 * 2},
    "bert": {"attention": 4 * 2, "mlp": 2 * 2},
    "vit": {"attention": 4 * 2, "mlp": 2 * 2},
    "t5": {"attention": 4 * 2 + 8 * 2, "mlp": 2 * 4},
}


def build(architecture: str) -> Any:
    import transformers

    name, fields = TINY_CONFIGS[architecture]
    model_class = getattr(transformers, name)
    return model_class(model_class.config_class(**fields))


def adapted(architecture: str, targets: Any) -> tuple[Any, set[str]]:
    """The model with LoRA, and the names of its adapted layers."""
    knobs = lora.Knobs(name="lora", rank=2, targets=targets)
    wrapped = adapters.attach(knobs, build(architecture), task="sequence_classification", seed=0)
    return wrapped, {name for name, module in wrapped.named_modules() if type(module).__name__ == "Linear" and
                     hasattr(module, "lora_A")}  # fmt: skip


@pytest.mark.parametrize("architecture", TINY_CONFIGS)
def test_a_group_means_all_its_layers_and_no_other(architecture: str) -> None:
    counts = {group: len(adapted(architecture, group)[1]) for group in ("attention", "mlp", "all")}
    expected = LAYERS[architecture]
    assert counts == {**expected, "all": sum(expected.values())}


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert", "vit"])
@pytest.mark.parametrize("targets", ["attention", "mlp", "all"])
def test_the_plan_counts_what_peft_trains(architecture: str, targets: str) -> None:
    model, _ = adapted(architecture, targets)
    plain = {name: tuple(value.shape) for name, value in build(architecture).named_parameters()}
    knobs = lora.Knobs(name="lora", rank=2, targets=targets)  # type: ignore[arg-type]
    config = build(architecture).config
    seen = Anatomy(config.to_dict() | {"num_labels": config.num_labels}, plain)
    planned = lora.sizes(knobs, seen) | seen.head()
    assert shapes.count(planned) == sum(value.numel() for value in optim.trainable(model).values())


def test_targets_can_be_the_names_of_modules() -> None:
    _, names = adapted("llama", ["q_proj", "layers.1.mlp.up_proj"])
    assert {name.removeprefix("base_model.model.model.") for name in names} == {
        "layers.0.self_attn.q_proj",
        "layers.1.self_attn.q_proj",
        "layers.1.mlp.up_proj",
    }


@pytest.mark.parametrize(("rslora", "scale"), [(False, 8 / 4), (True, 8 / 2)])
def test_the_update_is_equation_3(rslora: bool, scale: float) -> None:
    """h = W x + s B A x, with s = alpha / r, or alpha / sqrt(r)."""

    model = build("llama")
    knobs = registry.methods("adapters")["lora"].knobs(name="lora", rank=4, alpha=8, rslora=rslora)
    adapters.attach(knobs, model, task="causal_lm", seed=0)
    layer = model.model.layers[0].self_attn.q_proj
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    x = torch.randn(3, 16)
    update = x @ layer.lora_A["default"].weight.T @ layer.lora_B["default"].weight.T
    torch.testing.assert_close(layer(x), x @ layer.base_layer.weight.T + scale * update)


PLAIN = """
import sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
base, adapter = sys.argv[1:]
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
tokens = AutoTokenizer.from_pretrained(adapter)("The language reference", return_tensors="pt")
with torch.no_grad():
    print(float(model(input_ids=tokens.input_ids, labels=tokens.input_ids).loss))
"""


def test_plain_peft_in_a_plain_script_loads_the_folder(bench: Bench, base: Outcome) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = base.work_dir / "model"
    run = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": LORA}, inputs={"run:1": folder}
    )
    adapter = run.work_dir / "model"
    done = subprocess.run([sys.executable, "-c", PLAIN, folder, adapter], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), adapter).eval()
    ids = torch.tensor([list(b"The language reference")])
    with torch.no_grad():
        assert float(done.stdout) == pytest.approx(float(model(input_ids=ids, labels=ids).loss), abs=1e-5)


def test_the_folder_names_its_base_and_does_not_copy_it(bench: Bench, base: Outcome) -> None:
    run = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": LORA},
        inputs={"run:1": base.work_dir / "model"},
    )
    folder = run.work_dir / "model"
    assert json.loads((folder / "hone.json").read_text())["base"] == "run:1"
    assert not (folder / "base").exists()
    assert run.last.values["stored_bytes"] == sum(path.stat().st_size for path in folder.iterdir())


def test_a_base_of_random_weights_travels_with_its_adapter(bench: Bench) -> None:
    run = bench.run({"kind": "finetune", "method": LORA})
    again = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 9}, "method": LORA, "steps": 1},
        inputs={"run:9": run.work_dir / "model"},
    )
    assert again.last.type == "result"
