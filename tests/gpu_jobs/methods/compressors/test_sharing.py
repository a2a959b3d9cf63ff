"""Weights that several layers use: stored once, trained by the sum of what all of them ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from gpu_jobs import spec as specs
from gpu_jobs.__main__ import main as command
from gpu_jobs.engine import compressed
from gpu_jobs.engine.compressed.folded import Folded, Map
from gpu_jobs.engine.pruning.layers import find
from gpu_jobs.errors import MethodError
from gpu_jobs.methods.compressors import foldgpt, stable_rps
from tests.gpu_jobs.kinds.test_compress import RETRAIN, compress
from tests.gpu_jobs.methods.compressors.subjects import Bare, logits, model, subject
from tests.gpu_jobs.training import TINY, Bench, Outcome, same

DEEP: dict[str, Any] = {"num_hidden_layers": 4}


def rps(it: Bare, **values: Any) -> Any:
    return stable_rps.compress(stable_rps.Knobs(name="stable_rps", **values), it)  # type: ignore[arg-type]


def fold(it: Bare, **values: Any) -> Any:
    return foldgpt.compress(foldgpt.Knobs(name="foldgpt", **values), it)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_as_many_places_as_blocks_are_the_model(name: str) -> None:
    it = subject(name)
    before = logits(it.bare)
    done = rps(it, ratio=1, block=8)
    torch.testing.assert_close(logits(it.bare), before, rtol=1e-4, atol=1e-5)
    assert all(layer["relative_error"] < 1e-6 for layer in done.layers.values())


@pytest.mark.parametrize("ratio", [2, 4, 7.5])
def test_the_memory_is_as_small_as_asked_and_used_alike(ratio: float) -> None:
    it = subject()
    blocks = sum(-(-layer.weight.numel() // 8) for layer in find(it.bare, "all", 0).values())
    done = rps(it, ratio=ratio, block=8)
    folded = compressed.layers(it.bare).values()
    memories = {id(layer.memory) for layer in folded}
    assert len(memories) == 1 and done.result["memory_values"] == 8 * round(blocks / ratio)
    uses = torch.cat([layer.places for layer in folded]).bincount(minlength=round(blocks / ratio))
    assert uses.sum() == blocks and uses.max() - uses.min() <= 1


def test_the_map_comes_from_the_seed() -> None:
    assert torch.equal(Map(3, 40, 7).of(0, 40), Map(3, 40, 7).of(0, 40))
    assert torch.equal(Map(3, 40, 7).of(10, 5), Map(3, 40, 7).of(0, 40)[10:15])
    assert not torch.equal(Map(3, 40, 7).of(0, 40), Map(4, 40, 7).of(0, 40))


def test_the_memory_is_the_nearest_there_is() -> None:
    """No small step away from it comes nearer to the weights."""
    it = subject()
    before = {name: layer.weight.clone() for name, layer in find(it.bare, "all", 0).items()}
    rps(it, ratio=4, block=8)
    folded = compressed.layers(it.bare)
    memory = next(iter(folded.values())).memory.requires_grad_(True)
    error: Any = sum((folded[name].rows - weight).square().sum() for name, weight in before.items())
    error.backward()
    scale = sum(float(weight.abs().sum()) for weight in before.values()) / memory.numel()
    assert float(memory.grad.abs().max()) < 1e-4 * scale


def test_the_gradient_is_the_sum_over_all_uses_divided_by_their_number() -> None:
    weights = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    memory = torch.nn.Parameter(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)))
    layer = Folded((6, 8), Map(0, 12, 3), 0, memory, torch.tensor(0.5), None, is_transposed=False)
    error: Any = (layer.rows * weights).sum()
    error.backward()
    expected = torch.zeros(3, 4)
    for number, place in enumerate(layer.places.tolist()):
        expected[place] += 0.5 * weights.flatten()[4 * number : 4 * number + 4]
    torch.testing.assert_close(memory.grad, expected * 3 / 12)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_groups_share_matrices_and_keep_their_norms(name: str, tmp_path: Path) -> None:
    it = subject(name, **({"n_layer": 4} if name == "gpt2" else DEEP))
    whole = sum(value.numel() for value in it.bare.parameters())
    done = fold(it, drop=0, group=2)
    linear = find(it.bare, "all", 0)
    storages = {layer.module.weight.data_ptr() for layer in linear.values()}
    assert len(storages) * 2 == len(linear)
    saved = done.result["blocks"]["shared_values"]
    assert sum(value.numel() for value in it.bare.parameters()) == whole - saved
    norms = [value for part, value in it.bare.named_parameters() if "norm" in part or ".ln_" in part]
    assert len({value.data_ptr() for value in norms}) == len(norms)
    compressed.save(it.bare, tmp_path)
    stored = load_file(tmp_path / compressed.WEIGHTS)
    assert sum(value.numel() for value in stored.values()) == whole - saved
    again = compressed.load(tmp_path)
    assert torch.equal(logits(again), logits(it.bare))
    assert compressed.shared(again) == compressed.shared(it.bare)


def test_the_gradient_of_a_shared_matrix_sums_its_uses() -> None:
    it, twin = subject(**DEEP), model("llama", **DEEP)
    fold(it, drop=0, group=2)
    for at, part in enumerate(twin.model.layers):  # the same values, each block its own
        part.load_state_dict(it.bare.model.layers[at].state_dict())
    for each in (it.bare, twin):
        each.requires_grad_(True)
        batch = it.batches()[0]
        loss: Any = F.cross_entropy(each(**batch).logits.flatten(0, 1), batch["input_ids"].flatten())
        loss.backward()
    first, second = (twin.model.layers[at].mlp.up_proj.weight.grad for at in (0, 1))
    torch.testing.assert_close(it.bare.model.layers[0].mlp.up_proj.weight.grad, first + second)


def test_the_block_that_does_nothing_goes_first_and_is_not_missed() -> None:
    it = subject(**DEEP)
    idle = it.bare.model.layers[2]
    for layer in (idle.self_attn.o_proj, idle.mlp.down_proj):
        layer.weight.zero_()
    before = logits(it.bare)
    done = fold(it, drop=0.25, group=1)
    assert done.result["blocks"]["dropped"] == [2]
    assert done.result["blocks"]["importance"][2] == pytest.approx(0, abs=1e-6)
    assert torch.equal(logits(it.bare), before)


@pytest.mark.parametrize(
    "method", [{"name": "stable_rps", "ratio": 4, "block": 8}, {"name": "foldgpt", "drop": 0, "group": 2}],
    ids=lambda method: method["name"],
)  # fmt: skip
def test_sharing_survives_retraining_the_file_and_a_way_out(
    bench: Bench, base: Outcome, method: dict[str, Any], tmp_path: Path
) -> None:
    asked = {"method": method, "retrain": RETRAIN | {"objective": {"name": "distillation"}}}
    run = compress(bench, base, asked)
    alone, values = compress(bench, base, {"method": method}), run.last.values
    assert values["quality"]["recovered"]["eval/loss"] < values["quality"]["pruned"]["eval/loss"]
    assert values["parameters"]["total"] == alone.last.values["parameters"]["total"] < values["parameters"]["dense"]
    assert values["bytes"]["stored"] < values["bytes"]["dense"]
    found = compressed.load(run.work_dir / "model")
    assert compressed.shared(found) == compressed.shared(compressed.load(alone.work_dir / "model"))
    again = run.weights("model/compressed.safetensors")
    assert not same(again, alone.weights("model/compressed.safetensors"))
    assert command(["export", str(run.work_dir / "model"), str(tmp_path / "out")]) == 0
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(logits(plain), logits(found), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ({"name": "foldgpt", "drop": 0, "group": 1}, "nothing would change"),
        ({"name": "foldgpt", "drop": 0.9}, "leaves none of 2 blocks"),
        ({"name": "foldgpt", "drop": 0.1, "group": 1}, "takes none of 2 blocks"),
        ({"name": "stable_rps", "targets": ["nowhere"]}, "is in no layer of this model"),
    ],
)
def test_what_can_not_be_shared_is_refused_before_it_is_queued(method: dict[str, Any], words: str) -> None:
    from gpu_jobs import cost

    asked = {"kind": "compress", "model": TINY["model"], "data": TINY["data"], "sequence_length": 16, "method": method}
    with pytest.raises((MethodError, ValidationError), match=words):
        cost.plan(specs.parse(asked))
