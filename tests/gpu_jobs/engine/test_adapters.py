"""The host of our own adapters: every type of layer, merging, switching, copies, and folders in a plain script."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gpu_jobs import registry
from gpu_jobs.anatomy import GROUPS
from gpu_jobs.engine import adapters, job
from gpu_jobs.engine.adapters import host
from gpu_jobs.errors import MethodError, ModelError
from tests.gpu_jobs.engine import lowrank, scaling
from tests.gpu_jobs.methods import test_lora
from tests.gpu_jobs.methods.test_lora import LAYERS, TINY_CONFIGS
from tests.gpu_jobs.training import Bench, Outcome

MATRICES = [(name, group) for name in TINY_CONFIGS for group in ("attention", "mlp", "outputs", "embedding")]
OTHERS = [(name, group) for name in TINY_CONFIGS for group in ("norms", "ffn") if group in GROUPS[name]]


def build(architecture: str) -> Any:
    """With larger weights than new ones have, so that every layer is heard in the output."""
    model = test_lora.build(architecture)
    torch.manual_seed(3)
    for value in model.parameters():
        if value.ndim >= 2:
            nn.init.normal_(value, std=0.2)
    return model


def outputs(model: Any) -> torch.Tensor:
    model.eval()
    generator = torch.Generator().manual_seed(7)
    if model.config.model_type == "vit":
        given = {"pixel_values": torch.randn(2, 3, 8, 8, generator=generator)}
    else:
        given = {"input_ids": torch.randint(0, 9, (2, 5), generator=generator)}
    if model.config.model_type == "t5":
        given["decoder_input_ids"] = given["input_ids"].flip(0)
    with torch.no_grad():
        found: torch.Tensor = model(**given).logits
    return found


def put(module: Any, model: Any, targets: Any, seed: int = 0, adapter: str = host.DEFAULT) -> Any:
    knobs = module.Knobs.model_construct(targets=targets)
    return host.attach(knobs, module, model, adapters._targets(knobs, module, model), seed, adapter)


def bits(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@pytest.mark.parametrize(("architecture", "group"), MATRICES)
def test_a_merged_layer_computes_what_the_adapter_did(architecture: str, group: str) -> None:
    model = build(architecture)
    plain = outputs(model)
    put(lowrank, model, group)
    expected = outputs(model)
    assert (expected - plain).abs().max() > 1e-3
    torch.testing.assert_close(outputs(host.unload(model, merge=True)), expected, atol=1e-5, rtol=1e-5)
    assert not host.names(model)


@pytest.mark.parametrize(("architecture", "group"), MATRICES)
def test_unmerging_gives_the_base_its_bits_back(architecture: str, group: str) -> None:
    model = build(architecture)
    before, plain = bits(model), outputs(model)
    put(lowrank, model, group)
    for layer in host.adapted(model).values():
        layer.merge()
    assert not outputs(model).equal(plain)
    host.unload(model, merge=False)
    after = bits(model)
    assert before.keys() == after.keys()
    assert all(after[name].equal(value) for name, value in before.items())


@pytest.mark.parametrize("architecture", TINY_CONFIGS)
@pytest.mark.parametrize("group", ["attention", "mlp"])
def test_a_group_means_all_its_layers(architecture: str, group: str) -> None:
    model = put(lowrank, build(architecture), group)
    assert len(host.adapted(model)) == LAYERS[architecture][group]


@pytest.mark.parametrize(("architecture", "group"), OTHERS)
def test_layers_without_a_matrix_can_be_adapted(architecture: str, group: str) -> None:
    model = build(architecture)
    plain = outputs(model)
    put(scaling, model, group)
    assert (outputs(model) - plain).abs().max() > 1e-4
    assert sum(value.numel() for value in model.parameters() if value.requires_grad) == 1
    assert outputs(host.unload(model, merge=False)).equal(plain)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_a_method_of_matrices_refuses_layers_without_one(architecture: str) -> None:
    with pytest.raises(MethodError, match=r"needs layers with a matrix, and .*(norm|ln_)"):
        put(lowrank, build(architecture), "norms")


def test_the_layers_of_each_type_compute_by_their_equations() -> None:
    """y = W x + b with W + B A in the place of W, whichever way the layer stores it."""
    from transformers.pytorch_utils import Conv1D

    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.conv1d = nn.Linear(6, 4), Conv1D(4, 6)
            self.conv2d, self.table = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Embedding(5, 6, padding_idx=0)

    model = Parts()
    names = ["linear", "conv1d", "conv2d", "table"]
    host.attach(lowrank.Knobs(), lowrank, model, names, 0)
    x, image, ids = torch.randn(3, 6), torch.randn(1, 2, 5, 5), torch.tensor([0, 3])
    change = {name: layer.values.B @ layer.values.A for name, layer in host.adapted(model).items()}
    linear, conv1d, conv2d, table = (model.get_submodule(name) for name in names)
    torch.testing.assert_close(linear(x), x @ (linear.weight + change["linear"]).T + linear.bias)
    torch.testing.assert_close(conv1d(x), x @ (conv1d.weight + change["conv1d"].T) + conv1d.bias)
    kernel = conv2d.weight + change["conv2d"].view(4, 2, 3, 3)
    torch.testing.assert_close(conv2d(image), F.conv2d(image, kernel, conv2d.bias, stride=2, padding=1))
    torch.testing.assert_close(table(ids), (table.weight + change["table"])[ids])


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "vit"])
def test_two_adapters_of_one_base_can_be_switched(architecture: str) -> None:
    model = build(architecture)
    plain = outputs(model)
    first = outputs(put(lowrank, model, "all", seed=1, adapter="first"))
    alone = outputs(put(lowrank, copy.deepcopy(host.unload(copy.deepcopy(model), merge=False)), "all", seed=2))
    second = outputs(put(lowrank, model, "all", seed=2, adapter="second"))
    assert second.equal(alone)
    for chosen, expected in (("first", first), ("second", second), ("first", first)):
        host.activate(model, chosen)
        assert outputs(model).equal(expected)
    host.activate(model)
    assert outputs(model).equal(plain)
    host.activate(model, "first", "second")
    both = outputs(model)
    torch.testing.assert_close(outputs(host.unload(model, merge=True)), both, atol=1e-5, rtol=1e-5)


def test_only_the_new_adapter_is_trained_and_stored() -> None:
    model = put(lowrank, build("llama"), "attention", adapter="first")
    put(lowrank, model, "all", adapter="second")
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
    stored = host.added(model, "second")
    assert trained == sum(value.numel() for value in stored.values()) == 2 * (4 * 2 * 32 + 3 * 2 * 40)
    assert not any(".base." in name for name in stored)


def test_a_name_that_is_taken_and_one_that_is_not_there_are_errors() -> None:
    model = put(lowrank, build("llama"), "attention")
    with pytest.raises(MethodError, match="an adapter named 'default' already"):
        put(lowrank, model, "attention")
    with pytest.raises(MethodError, match="no adapter 'other': there are default"):
        host.activate(model, "other")


def test_an_adapter_inside_an_adapted_module_is_merged_and_taken_off() -> None:
    model = build("llama")
    plain = outputs(model)
    put(scaling, model, "ffn", adapter="outer")
    put(lowrank, model, "mlp", adapter="inner")
    host.activate(model, "outer", "inner")
    assert not outputs(model).equal(plain)
    assert outputs(host.unload(model, merge=False)).equal(plain)


def test_merging_into_a_tied_embedding_leaves_the_output_layer_alone(tmp_path: Path) -> None:
    from transformers import GPT2LMHeadModel

    model = put(lowrank, build("gpt2"), "embedding")
    expected = outputs(model)
    host.unload(model, merge=True).save_pretrained(tmp_path)
    loaded = GPT2LMHeadModel.from_pretrained(tmp_path)
    torch.testing.assert_close(outputs(loaded), expected, atol=1e-5, rtol=1e-5)
    assert not loaded.lm_head.weight.equal(loaded.transformer.wte.weight)


def test_a_shared_value_is_one_tensor_stored_once() -> None:
    model = put(scaling, build("llama"), "attention")
    assert sorted(name.rpartition(".")[2] for name in host.added(model)) == ["g", "offset"]
    assert sum(value.numel() for value in model.parameters() if value.requires_grad) == 1


def test_a_frozen_value_is_stored_though_it_is_not_trained() -> None:
    model = put(lowrank, build("llama"), "attention")
    next(iter(host.adapted(model).values())).values.requires_grad_(False)
    assert len(host.added(model)) == 2 * 4 * 2


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_an_adapted_model_can_be_copied_and_pickled(architecture: str) -> None:
    model = put(lowrank, build(architecture), "all")
    expected = outputs(model)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert outputs(twin).equal(expected)
        layer = next(iter(host.adapted(twin).values()))
        assert layer.seen.plain is layer.base
        layer.values.B.data.zero_()
        assert not outputs(twin).equal(expected)
    assert outputs(model).equal(expected)


def test_checkpointed_activations_give_the_same_gradients() -> None:
    def gradients(checkpointed: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = put(lowrank, build("llama"), "all").train()
        model.config.use_cache = False
        if checkpointed:
            job._checkpoint_activations(model)
        ids = torch.arange(8).reshape(1, 8)
        model(input_ids=ids, labels=ids).loss.backward()
        return [value.grad for value in model.parameters() if value.requires_grad]

    for one, other in zip(gradients(False), gradients(True), strict=True):
        torch.testing.assert_close(one, other)


def test_under_bf16_autocast_and_in_a_bf16_model_values_stay_in_float32() -> None:
    model = put(lowrank, build("llama"), "all")
    exact = outputs(model)
    with torch.autocast("cpu", torch.bfloat16):
        assert (outputs(model).float() - exact).abs().max() < 0.05
    for layer in host.adapted(model).values():
        layer.base.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert (outputs(model).float() - exact).abs().max() < 0.05
    merged = host.unload(model, merge=True)
    assert merged.model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16


def test_a_base_held_in_bf16_runs_without_autocast() -> None:
    model = build("llama")
    exact = outputs(put(lowrank, copy.deepcopy(model), "all"))
    half = put(lowrank, model.to(torch.bfloat16), "all")
    assert next(iter(host.adapted(half).values())).values.A.dtype == torch.float32
    assert outputs(half).dtype == torch.bfloat16
    assert (outputs(half).float() - exact).abs().max() < 0.05


class Codes(nn.Module):
    """A quantised linear layer: 8-bit codes and a scale."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.scale = weight.abs().max() / 127
        self.weight = nn.Parameter((weight / self.scale).round().to(torch.int8), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight * self.scale)


def test_a_quantised_base_is_only_called() -> None:
    model = nn.Sequential(Codes(torch.randn(4, 6)))
    x = torch.randn(3, 6)
    plain = model(x)
    host.attach(lowrank.Knobs(), lowrank, model, ["0"], 0)
    layer = host.adapted(model)["0"]
    torch.testing.assert_close(model(x), plain + x @ (layer.values.B @ layer.values.A).T)
    with pytest.raises(MethodError, match="no weight of floating-point numbers"):
        layer.merge()
    svfit = registry.methods("adapters")["svfit"]
    with pytest.raises(MethodError, match="no weight of floating-point numbers"):
        host.attach(svfit.knobs(name="svfit"), svfit.module, nn.Sequential(Codes(torch.randn(4, 6))), ["0"], 0)


def test_a_bias_that_the_layer_has_not_is_refused_before_anything_changes() -> None:
    base = host.Base(nn.Linear(3, 3, bias=False), "here", 0)
    before = base.weight.clone()
    with pytest.raises(MethodError, match="the layer here has no bias"):
        base.put(torch.zeros(3, 3), torch.zeros(3))
    assert base.weight.equal(before)


PLAIN = """
import sys, torch
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer
from gpu_jobs.engine import adapters, job
base, adapter = sys.argv[1:]
model = adapters.load(Path(adapter), AutoModelForCausalLM.from_pretrained(base)).eval()
tokens = AutoTokenizer.from_pretrained(adapter)("The language reference", return_tensors="pt")
with torch.no_grad():
    print(float(model(input_ids=tokens.input_ids, labels=tokens.input_ids).loss))
"""


@pytest.fixture(scope="module")
def tuned(bench: Bench, base: Outcome) -> Outcome:
    """A base with our own adapter, trained."""
    return bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": {"name": "svfit", "rank": 4}},
        inputs={"run:1": base.work_dir / "model"},
    )


def text_loss(model: Any) -> float:
    ids = torch.tensor([list(b"The language reference")])
    with torch.no_grad():
        return float(model.eval()(input_ids=ids, labels=ids).loss)


def test_a_plain_script_loads_the_folder(base: Outcome, tuned: Outcome) -> None:
    from transformers import AutoModelForCausalLM

    folder, adapter = base.work_dir / "model", tuned.work_dir / "model"
    done = subprocess.run([sys.executable, "-c", PLAIN, folder, adapter], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = adapters.load(adapter, AutoModelForCausalLM.from_pretrained(folder))
    assert float(done.stdout) == pytest.approx(text_loss(loaded), abs=1e-5)
    assert text_loss(loaded) != pytest.approx(text_loss(AutoModelForCausalLM.from_pretrained(folder)), abs=1e-5)


def test_a_folder_can_be_loaded_twice_under_two_names(base: Outcome, tuned: Outcome) -> None:
    from transformers import AutoModelForCausalLM

    folder = tuned.work_dir / "model"
    model = AutoModelForCausalLM.from_pretrained(base.work_dir / "model")
    plain = text_loss(model)
    one = text_loss(adapters.load(folder, model, "one"))
    assert text_loss(adapters.load(folder, model, "two")) == one != plain
    host.activate(model)
    assert text_loss(model) == plain


def test_a_folder_of_another_model_is_refused(tuned: Outcome) -> None:
    with pytest.raises(ModelError, match="is of another model"):
        adapters.load(tuned.work_dir / "model", build("gpt2"))


def test_a_folder_with_unknown_knobs_is_refused(tuned: Outcome, tmp_path: Path) -> None:
    about = json.loads((tuned.work_dir / "model" / adapters.CONFIG).read_text())
    (tmp_path / adapters.CONFIG).write_text(json.dumps(about | {"method": {"name": "svfit", "rank": -1}}))
    with pytest.raises(ModelError, match="can't be read"):
        adapters.load(tmp_path, build("llama"))
