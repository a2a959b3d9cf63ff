"""Criteria that judge a layer by its inputs, against closed forms."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import prune as reference

from gpu_jobs.engine.pruning import masks, scoring, walk
from gpu_jobs.engine.pruning.layers import Inputs, Layer
from gpu_jobs.errors import MethodError
from gpu_jobs.events import Failed
from gpu_jobs.prunable import NM, removed
from tests.gpu_jobs.engine.test_pruning import CPU, batches, output, tiny
from tests.gpu_jobs.methods.criteria.scene import knobs, module, pruned, with_inputs
from tests.gpu_jobs.training import Bench, Outcome


def layer(out: int = 6, inputs: int = 8, samples: int = 40, share: float = 0.5) -> tuple[Layer, torch.Tensor]:
    """A linear layer of random weights with the sums of random, correlated inputs (samples, in)."""
    generator = torch.Generator().manual_seed(5)
    found = Layer("it", nn.Linear(inputs, out, bias=False), share, 0, Inputs(inputs, CPU, products=True))
    found.write(torch.randn(out, inputs, generator=generator))
    x = torch.randn(samples, inputs, generator=generator) @ torch.randn(inputs, inputs, generator=generator)
    assert found.inputs is not None
    found.inputs.add(x)
    return found, x


def test_magnitude_is_that_of_torch() -> None:
    found, _ = layer(share=0.4)
    mask = masks.by_matrix(module("magnitude").score(knobs("magnitude"), found), 0.4)
    reference.l1_unstructured(found.module, "weight", amount=round(0.4 * 48))
    assert torch.equal(mask, found.module.weight_mask.bool())


def test_wanda_is_the_weight_times_the_length_of_its_input() -> None:
    found, x = layer()
    score = module("wanda").score(knobs("wanda"), found)
    assert torch.allclose(score, found.weight.abs() * x.norm(dim=0), rtol=1e-5)


def test_scores_of_zero_weights_and_of_inputs_that_never_came_are_numbers() -> None:
    found, _ = layer()
    found.write(torch.zeros(6, 8))
    found.inputs = Inputs(8, CPU, products=True)
    for name in ("magnitude", "random", "wanda", "obs_sparsegpt"):
        assert module(name).score(knobs(name), found).isfinite().all(), name


def one_gone(column: int) -> Any:
    def choose(scores: torch.Tensor) -> torch.Tensor:
        mask = torch.ones_like(scores, dtype=torch.bool)
        mask[:, column] = False
        return mask

    return choose


def test_a_single_weight_goes_as_optimal_brain_surgeon_has_it() -> None:
    """The first column of the order: w -= w_0 / [H^-1]_00 [H^-1]_0,: with the whole inverse."""
    found, _ = layer()
    ours = knobs("obs_sparsegpt", dampening=1e-6)
    weight, mask = module("obs_sparsegpt").update(ours, found, one_gone(0))
    h = found.hessian.double()
    h += 1e-6 * h.diagonal().mean() * torch.eye(8)
    inverse = h.inverse()
    want = found.weight.double() - torch.outer(found.weight[:, 0].double() / inverse[0, 0], inverse[0])
    assert torch.allclose(weight.double(), want, atol=1e-4)
    assert not mask[:, 0].any() and mask[:, 1:].all()


def test_what_stays_right_of_what_went_is_the_least_squares_solution() -> None:
    """With the first columns gone from all rows, the rest is what solves min |X W' - X W'_new| without them."""
    found, x = layer()

    def choose(scores: torch.Tensor) -> torch.Tensor:
        mask = torch.ones_like(scores, dtype=torch.bool)
        mask[:, :3] = False
        return mask

    weight, _ = module("obs_sparsegpt").update(knobs("obs_sparsegpt", dampening=1e-7), found, choose)
    best = torch.linalg.lstsq(x[:, 3:].double(), x.double() @ found.weight.double().T).solution.T
    assert torch.allclose(weight[:, 3:].double(), best, atol=1e-3)


@pytest.mark.parametrize("pattern", ["unstructured", "2:4"])
def test_what_comes_out_is_nearer_than_with_the_mask_alone(pattern: str) -> None:
    found, x = layer(out=32, inputs=64, samples=300)

    def choose(scores: torch.Tensor) -> torch.Tensor:
        return masks.by_pattern(scores, NM(2, 4)) if pattern == "2:4" else masks.by_matrix(scores, 0.5)

    weight, mask = module("obs_sparsegpt").update(knobs("obs_sparsegpt", pattern=pattern), found, choose)
    scores = module("wanda").score(knobs("wanda"), found)
    wanda = masks.by_pattern(scores, NM(2, 4)) if pattern == "2:4" else masks.by_row(scores, 0.5)

    def missed(new: torch.Tensor) -> float:
        return float((x @ (new - found.weight).T).square().sum())

    assert int(mask.sum()) == 32 * 32
    assert missed(weight) < missed(found.weight * mask)
    assert missed(weight) < missed(found.weight * wanda)


def test_blocks_of_columns_change_nothing_but_where_masks_are_chosen() -> None:
    found, _ = layer(out=8, inputs=32, samples=200)

    def by_group(scores: torch.Tensor) -> torch.Tensor:
        return masks.by_pattern(scores, NM(2, 4))

    one, two = (
        module("obs_sparsegpt").update(knobs("obs_sparsegpt", pattern="2:4", columns=size), found, by_group)[0]
        for size in (8, 128)
    )
    assert torch.allclose(one, two, atol=1e-4)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.77])
def test_blocks_of_columns_together_lose_the_share_of_the_whole(share: float) -> None:
    found, _ = layer(out=3, inputs=37, samples=200, share=share)
    ours = knobs("obs_sparsegpt", columns=8)  # four of 24 weights and one of 15: each would be rounded by itself
    spec: Any = SimpleNamespace(method=ours)
    weight, mask = module("obs_sparsegpt").update(ours, found, scoring.parts_of(spec, share))
    assert int((~mask).sum()) == removed(share, 3 * 37)
    assert torch.equal(weight != 0, mask)


@pytest.mark.parametrize("pattern", ["unstructured", "2:4"])
def test_what_went_in_an_earlier_round_is_not_made_up_for(pattern: str) -> None:
    """The columns to the left of a zero would give it a value, and it could come back."""
    found, _ = layer(out=16, inputs=32, samples=200)
    first = masks.by_pattern(torch.rand(16, 32, generator=torch.Generator().manual_seed(1)), NM(2, 4))
    found.write(found.weight * first)
    ours = knobs("obs_sparsegpt", pattern=pattern, columns=8)
    spec: Any = SimpleNamespace(method=ours)
    _, mask = module("obs_sparsegpt").update(ours, found, scoring.parts_of(spec, 0.5))
    assert torch.equal(mask, first)


@pytest.mark.parametrize("column", [3, 7])
def test_a_weight_goes_as_optimal_brain_surgeon_has_it_of_the_columns_from_it_on(column: int) -> None:
    found, _ = layer()
    weight, _ = module("obs_sparsegpt").update(knobs("obs_sparsegpt", dampening=1e-6), found, one_gone(column))
    h = found.hessian.double()
    h += 1e-6 * h.diagonal().mean() * torch.eye(8)
    inverse, w = h[column:, column:].inverse(), found.weight.double()
    want = w[:, column:] - torch.outer(w[:, column] / inverse[0, 0], inverse[0])
    assert torch.allclose(weight[:, column:].double(), want, atol=1e-4)
    assert torch.equal(weight[:, :column], found.weight[:, :column])


def test_inputs_that_leave_no_inverse_are_refused_with_the_remedy() -> None:
    found, x = layer(out=4, inputs=64, samples=3)  # three samples for 64 columns
    with pytest.raises(MethodError, match=r"method.dampening is too low for these inputs.*: 1e-12"):
        module("obs_sparsegpt").score(knobs("obs_sparsegpt", dampening=1e-12), found)
    assert module("obs_sparsegpt").score(knobs("obs_sparsegpt"), found).isfinite().all() and len(x) == 3


def test_an_input_that_is_always_zero_takes_its_weights_with_it() -> None:
    found, x = layer()
    found.inputs = Inputs(8, CPU, products=True)
    x[:, 4] = 0
    found.inputs.add(x)
    weight, _ = module("obs_sparsegpt").update(
        knobs("obs_sparsegpt"), found, lambda s: torch.ones_like(s, dtype=torch.bool)
    )
    assert not weight[:, 4].any() and weight.isfinite().all()


def test_a_block_that_passes_on_what_it_is_given_is_the_most_redundant() -> None:
    model = tiny("llama")
    for each in (model.model.layers[1].self_attn.o_proj, model.model.layers[1].mlp.down_proj):
        each.weight.zero_()
    judge = module("block_redundancy").blocks
    ours = knobs("block_redundancy", protected=0)
    scores = [judge(ours, pairs, number, 3) for number, pairs in enumerate(walk.through(model, batches(), CPU))]
    assert scores[1] == pytest.approx(0, abs=1e-6) and min(scores[0], scores[2]) > 1e-4
    ends = [
        judge(knobs("block_redundancy"), pairs, n, 3) for n, pairs in enumerate(walk.through(model, batches(), CPU))
    ]
    assert ends[0] == ends[2] == float("inf")
    assert output(model).isfinite().all()


def test_dropping_the_block_that_passes_on_what_it_is_given_leaves_the_loss(
    bench: Bench, base: Outcome, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(base.work_dir / "model", folder)
    weights = load_file(folder / "model.safetensors")
    for name in ("self_attn.o_proj", "mlp.down_proj"):
        weights[f"model.layers.0.{name}.weight"].zero_()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    method = {"name": "block_redundancy", "sparsity": 0.5, "protected": 0}
    run = pruned(bench, Outcome([], tmp_path), method)
    values, quality = run.last.values, run.last.values["quality"]
    assert quality["pruned"]["eval/loss"] == pytest.approx(quality["dense"]["eval/loss"], rel=1e-6)
    block = sum(value.numel() for name, value in weights.items() if name.startswith("model.layers.0."))
    assert values["parameters"]["dense"] - values["parameters"]["total"] == block
    kept = load_file(run.work_dir / "model/model.safetensors")
    assert torch.equal(kept["model.layers.0.mlp.up_proj.weight"], weights["model.layers.1.mlp.up_proj.weight"])
    twice = values["flops"]["stored"] * 2 - values["flops"]["dense"]  # what is outside of the two blocks: the head
    tokens, width, vocabulary = 16, 16, weights["model.embed_tokens.weight"].shape[0]
    assert twice == 2 * tokens * width * vocabulary


def test_more_blocks_than_are_not_protected_can_t_go(bench: Bench, base: Outcome) -> None:
    run = pruned(bench, base, {"name": "block_redundancy", "sparsity": 0.5, "protected": 1})
    assert isinstance(run.last, Failed) and "asks for 1 blocks, and 0 are not protected" in run.last.message


def test_the_same_inputs_in_other_batches_are_the_same_sums() -> None:
    found = with_inputs("hessian")
    name = next(iter(found))
    again = Inputs(16, CPU, products=True)
    rows = torch.randn(10, 16)
    again.add(rows[:3])
    again.add(rows[3:])
    whole = Inputs(16, CPU, products=True)
    whole.add(rows)
    assert torch.allclose(again.squares, whole.squares) and found[name].hessian.shape == (16, 16)
    assert again.products is not None and whole.products is not None
    assert torch.allclose(again.products, whole.products, atol=1e-5)
