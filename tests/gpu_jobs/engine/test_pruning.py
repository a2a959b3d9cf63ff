"""Masks, shares, and the way of calibration samples through a model."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gpu_jobs import prunable
from gpu_jobs.engine.pruning import layers, masks, structured, walk
from gpu_jobs.errors import MethodError
from gpu_jobs.prunable import NM

CPU = torch.device("cpu")


def tiny(kind: str) -> Any:
    """A small model of random weights, the same each time."""
    torch.manual_seed(0)
    common = {"vocab_size": 40}
    configs = {
        "llama": transformers.LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=3,
                                          num_attention_heads=4, num_key_value_heads=2, **common),
        "gpt2": transformers.GPT2Config(n_embd=16, n_layer=3, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0,
                                        **common),
        "bert": transformers.BertConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=3,
                                        num_attention_heads=2, **common),
    }  # fmt: skip
    classes = {"bert": transformers.AutoModelForMaskedLM}
    model = classes.get(kind, transformers.AutoModelForCausalLM).from_config(configs[kind])
    return model.eval().requires_grad_(False)


def batches(padded: bool = False) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(3):
        ids = torch.randint(1, 40, (2, 8), generator=generator)
        mask = torch.ones_like(ids)
        if padded:
            mask[0, 5:] = 0
        found.append({"input_ids": ids, "attention_mask": mask})
    return found


def summed(model: Any, padded: bool = False) -> dict[str, Tensor]:
    """X X^T of every layer by plain hooks on the whole model."""
    found: dict[str, Tensor] = {}
    seen = layers.find(model, "all", 0)
    for batch in batches(padded):

        def add(_: Any, inputs: Any, name: str, batch: dict[str, Tensor] = batch) -> None:
            x = inputs[0][batch["attention_mask"].bool()]
            found[name] = found.get(name, 0) + x.T @ x

        handles = [
            layer.module.register_forward_pre_hook(lambda m, i, name=name: add(m, i, name))
            for name, layer in seen.items()
        ]
        model(**batch)
        for handle in handles:
            handle.remove()
    return found


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_block_by_block_the_layers_see_what_they_see_in_the_whole_model(kind: str, padded: bool) -> None:
    model = tiny(kind)
    want, found = summed(model, padded), layers.find(model, "all", 0)
    seen = []
    for stop in walk.walk(model, found, batches(padded), CPU):
        walk.gather(stop, "hessian", CPU)
        seen.append(stop.name)
        for layer in stop.layers:
            assert torch.allclose(layer.hessian, want[layer.name], atol=1e-5)
            assert torch.allclose(layer.norms, want[layer.name].diagonal().sqrt(), atol=1e-5)
            assert layer.inputs is not None and layer.inputs.count == (39 if padded else 48)
    assert len(seen) == 3


def test_later_blocks_see_what_the_changed_ones_make() -> None:
    model = tiny("llama")
    changed = copy.deepcopy(model)
    for module in changed.model.layers[0].modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.mul_(0.5)
    want, found = summed(changed), layers.find(model, "all", 0)
    for number, stop in enumerate(walk.walk(model, found, batches(), CPU)):
        walk.gather(stop, "hessian", CPU)
        for layer in stop.layers:
            if number == 0:
                layer.write(layer.weight * 0.5)
            else:
                assert torch.allclose(layer.hessian, want[layer.name], atol=1e-5)


@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 12), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_exactly_so_many_go_and_ties_go_by_place(rows: int, width: int, count: int, values: int) -> None:
    count = min(count, width)
    scores = torch.randint(0, values + 1, (rows, width), generator=torch.Generator().manual_seed(rows)).float()
    gone = masks.lowest(scores, count)
    order = scores.argsort(dim=1, stable=True)[:, :count]
    want = torch.zeros_like(gone).scatter_(1, order, True)
    assert torch.equal(gone, want)


def test_scores_that_are_no_numbers_go_first() -> None:
    scores = torch.tensor([[1.0, float("nan"), float("inf"), float("-inf"), 2.0]])
    assert masks.lowest(scores, 2).tolist() == [[False, True, False, True, False]]


def test_a_pattern_keeps_the_best_of_each_group_and_a_row_its_share() -> None:
    scores = torch.tensor([[4.0, 3, 2, 1, 1, 2, 3, 4]])
    assert masks.by_pattern(scores, NM(2, 4)).tolist() == [[True, True, False, False, False, False, True, True]]
    assert masks.by_row(scores, 0.25).sum() == 6
    both = masks.everywhere({"a": torch.tensor([[1.0, 9]]), "b": torch.tensor([[2.0, 8]])}, 0.5)
    assert [mask.tolist() for mask in both.values()] == [[[False, True]], [[False, True]]]


def test_masks_come_back_from_their_file(tmp_path: Path) -> None:
    found = {"a.b": torch.rand(3, 7) > 0.5, "c": torch.ones(2, 2, dtype=torch.bool)}
    masks.save(found, tmp_path / "masks.safetensors")
    assert (tmp_path / "masks.safetensors").stat().st_size < 200
    again = masks.load(tmp_path / "masks.safetensors")
    assert again.keys() == found.keys() and all(torch.equal(again[name], found[name]) for name in found)


@given(st.floats(0.05, 0.97), st.lists(st.tuples(st.integers(4, 300), st.integers(4, 300)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_erk_spends_the_budget_and_no_layer_is_more_than_dense(sparsity: float, sizes: list[tuple[int, int]]) -> None:
    shapes = {str(number): size for number, size in enumerate(sizes)}
    densities = {name: 1 - share for name, share in prunable.erk(sparsity, shapes).items()}
    total = sum(out * inputs for out, inputs in sizes)
    assert sum(densities[name] * out * inputs for name, (out, inputs) in shapes.items()) == pytest.approx(
        (1 - sparsity) * total
    )
    assert all(-1e-9 <= density <= 1 + 1e-9 for density in densities.values())
    free = [name for name in shapes if densities[name] < 1 - 1e-9]
    scaled = {name: densities[name] * shapes[name][0] * shapes[name][1] / sum(shapes[name]) for name in free}
    assert not scaled or max(scaled.values()) == pytest.approx(min(scaled.values()))


def output(model: Any) -> Tensor:
    found: Tensor = model(**batches()[0]).logits
    return found


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_channels_that_are_taken_out_are_as_if_masked(kind: str) -> None:
    model, kept = tiny(kind), torch.tensor([0, 2, 3, 7, 11, 20])
    masked = copy.deepcopy(model)
    for block in walk.stack(masked)[1]:  # type: ignore[index]
        for name in structured.FFN[kind].columns:
            layer = layers.Layer(name, block.get_submodule(name), 0, 0)
            gone = torch.ones(layer.weight.shape[1], dtype=torch.bool)
            gone[kept] = False
            layer.write(layer.weight.masked_fill(gone, 0))
    cut(model, structured.Units(ffn=dict.fromkeys(range(3), kept)))
    assert torch.allclose(output(model), output(masked), atol=1e-6)


def test_heads_that_are_taken_out_are_as_if_masked() -> None:
    model, kept = tiny("llama"), torch.tensor([1])  # the second of two key/value groups, each with two heads of 4
    masked = copy.deepcopy(model)
    for block in masked.model.layers:
        block.self_attn.o_proj.weight[:, :8] = 0
    cut(model, structured.Units(heads=dict.fromkeys(range(3), kept)))
    assert (model.config.num_attention_heads, model.config.num_key_value_heads, model.config.head_dim) == (2, 1, 4)
    rebuilt = transformers.AutoModelForCausalLM.from_config(model.config).eval()
    rebuilt.load_state_dict(model.state_dict())
    assert torch.allclose(output(rebuilt), output(masked), atol=1e-6)


def test_a_block_that_does_nothing_can_be_dropped() -> None:
    model = tiny("llama")
    for layer in (model.model.layers[1].self_attn.o_proj, model.model.layers[1].mlp.down_proj):
        layer.weight.zero_()
    before = output(model)
    cut(model, structured.Units(blocks=[0, 2]))
    assert model.config.num_hidden_layers == 2
    assert torch.allclose(output(model), before, atol=1e-6)
    assert [block.self_attn.layer_idx for block in model.model.layers] == [0, 1]


def cut(model: Any, units: structured.Units) -> None:
    from types import SimpleNamespace

    from gpu_jobs.engine.shrinking.change import Change

    structured.remove(SimpleNamespace(bare=model), units, Change())  # type: ignore[arg-type]


def test_heads_of_other_architectures_are_refused() -> None:
    with pytest.raises(MethodError, match="is for llama, and this is a gpt2"):
        structured.check(tiny("gpt2"), "heads")


def test_layers_with_one_input_share_its_sums_and_each_has_its_own_inputs_in_them() -> None:
    """q, k and v are given the same tensor, and so are gate and up; the sums are those of X X^T by plain hooks."""
    model = tiny("llama").eval()
    found = layers.find(model, "all", 0)
    generator = torch.Generator().manual_seed(1)
    ids = [torch.randint(40, (3, 16), generator=generator) for _ in range(2)]
    mask = torch.ones(3, 16, dtype=torch.long)
    mask[1, 9:] = 0
    batches = [{"input_ids": each, "attention_mask": mask} for each in ids]
    expected: dict[str, Tensor] = {}

    def add(name: str, x: Tensor) -> None:
        rows = x[mask.bool()].double()
        expected[name] = expected.get(name, torch.zeros(())) + rows.T @ rows

    handles = [
        layer.module.register_forward_pre_hook(lambda _, inputs, name=name: add(name, inputs[0]))
        for name, layer in found.items()
    ]
    with torch.no_grad():
        for batch in batches:
            model(**batch)
    for handle in handles:
        handle.remove()
    for stop in walk.walk(model, found, batches, torch.device("cpu")):
        walk.gather(stop, "hessian", torch.device("cpu"))
        assert len({id(layer.inputs) for layer in stop.layers}) == 4
        for layer in stop.layers:
            torch.testing.assert_close(layer.hessian.double(), expected[layer.name], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(
                layer.norms.double(), expected[layer.name].diagonal().sqrt(), rtol=1e-4, atol=1e-5
            )
            assert layer.inputs is not None
            assert layer.inputs.count == 2 * int(mask.sum())
