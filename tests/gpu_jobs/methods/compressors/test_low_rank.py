"""Factors: as near as the singular values, or the eigenvalues of the outputs, say, and as small as they promise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gpu_jobs import registry
from gpu_jobs import spec as specs
from gpu_jobs.contracts import Hooks
from gpu_jobs.engine import compressed
from gpu_jobs.engine.compressed.factored import Factored
from gpu_jobs.engine.compressing.outputs import Outputs
from gpu_jobs.engine.compressing.ranks import factorise, svd
from gpu_jobs.engine.pruning.layers import Layer, find
from gpu_jobs.methods.compressors import afm, lowrank_svd, pela
from tests.gpu_jobs.kinds.test_compress import RETRAIN, compress
from tests.gpu_jobs.methods.compressors.subjects import Bare, logits, model, subject
from tests.gpu_jobs.training import TINY, Bench, Outcome, same

NAMES = ("llama", "gpt2")


def knobs(family: Any, **values: Any) -> Any:
    return family.Knobs(name=family.__name__.rpartition(".")[2], **values)


def dense(of: Any) -> dict[str, torch.Tensor]:
    return {name: layer.weight.clone() for name, layer in find(of, "all", 0).items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_error_is_that_of_the_dropped_singular_values(name: str) -> None:
    it = subject(name)
    before = dense(it.bare)
    done = lowrank_svd.compress(knobs(lowrank_svd, ratio=2), it)  # type: ignore[arg-type]
    found = compressed.layers(it.bare)
    assert done.layers.keys() == before.keys() == found.keys()
    for layer, weight in before.items():
        rank = done.layers[layer]["rank"]
        dropped = torch.linalg.svdvals(weight)[rank:].square().sum().sqrt()
        assert (found[layer].product() - weight).norm() == pytest.approx(float(dropped), rel=1e-4)
        assert done.layers[layer]["error"] == pytest.approx(float(dropped), rel=1e-4)
        assert rank == int(weight.numel() / (2 * sum(weight.shape)))
        factors = sum(value.numel() for part, value in found[layer].named_parameters() if part != "up.bias")
        assert factors == rank * sum(weight.shape) == done.layers[layer]["values"] <= weight.numel() / 2


@pytest.mark.parametrize("name", NAMES)
def test_at_full_rank_nothing_changes(name: str) -> None:
    it = subject(name)
    before = logits(it.bare)
    for layer in find(it.bare, "all", 0).values():
        factorise(it.bare, layer, min(layer.weight.shape))
    assert all(isinstance(layer, Factored) for layer in compressed.layers(it.bare).values())
    torch.testing.assert_close(logits(it.bare), before, rtol=1e-4, atol=1e-4)


def test_both_factors_share_the_singular_values() -> None:
    weight = torch.randn(12, 20, generator=torch.Generator().manual_seed(0))
    up, down, _ = svd(weight, 5)
    values = torch.linalg.svdvals(weight)[:5]
    torch.testing.assert_close(up.T @ up, values.diag(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(down @ down.T, values.diag(), atol=1e-4, rtol=1e-4)


def seen(of: Bare, name: str) -> tuple[Layer, Outputs, torch.Tensor]:
    """A layer, the statistics of its outputs, and its inputs, on the subject's batches."""
    layer, inputs = find(of.bare, "all", 0)[name], []
    found = Outputs(layer, of.device)
    handle = layer.module.register_forward_pre_hook(lambda _, x: inputs.append(x[0].flatten(0, 1)))
    for batch in of.batches():
        of.bare(**batch)
    handle.remove()
    for x in inputs:
        found.add(x)
    return layer, found, torch.cat(inputs)


FIRST = [("llama", "model.layers.0.mlp.gate_proj"), ("gpt2", "transformer.h.0.mlp.c_fc")]


@pytest.mark.parametrize(("name", "layer"), FIRST)
@pytest.mark.parametrize("rank", [3, 9])
def test_afm_loses_the_dropped_eigenvalues_and_less_than_an_svd(name: str, layer: str, rank: int) -> None:
    it = subject(name)
    at, outputs, x = seen(it, layer)
    bias = getattr(at.module, "bias", None)
    own = torch.zeros(len(at.weight)) if bias is None else bias
    y = x @ at.weight.T + own
    variances, basis = outputs.components()
    up, down, moved = afm.factors(at.weight, bias, outputs.mean, basis[:, :rank])
    error = (x @ down.T @ up.T + moved - y).square().sum(1).mean()
    assert float(error) == pytest.approx(float(variances[rank:].sum()), rel=1e-3)
    other_up, other_down, _ = svd(at.weight, rank)
    assert error <= (x @ other_down.T @ other_up.T + own - y).square().sum(1).mean()


@pytest.mark.parametrize(("name", "layer"), FIRST)
def test_afm_at_full_rank_is_the_layer(name: str, layer: str) -> None:
    at, outputs, x = seen(subject(name), layer)
    _, basis = outputs.components()
    up, down, moved = afm.factors(at.weight, getattr(at.module, "bias", None), outputs.mean, basis)
    torch.testing.assert_close(nn.functional.linear(x @ down.T, up, moved), at.module(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "layer"), FIRST)
def test_afm_compresses_block_by_block_on_what_the_compressed_ones_put_out(name: str, layer: str) -> None:
    it, half, second = subject(name), subject(name), layer.replace(".0.", ".1.")
    done = afm.compress(knobs(afm, ratio=2), it)  # type: ignore[arg-type]
    for at, part in compressed.layers(it.bare).items():
        if ".0." in at:
            compressed.replace(half.bare, at, part)
    _, outputs, _ = seen(half, second)
    assert done.layers[second]["variance"] == pytest.approx(float(outputs.covariance.trace()), rel=1e-5)


@pytest.mark.parametrize("energy", [0.5, 0.9, 1.0])
def test_energy_chooses_the_lowest_rank_that_keeps_it(energy: float) -> None:
    variances = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    rank = afm.rank_for(variances, energy)
    assert variances[:rank].sum() >= energy * 10 - 1e-9 > variances[: rank - 1].sum()


def test_by_energy_a_layer_that_would_not_be_smaller_stays() -> None:
    it = subject()
    done = afm.compress(knobs(afm, energy=1.0), it)  # type: ignore[arg-type]
    kept = {name for name, told in done.layers.items() if told["rank"] is None}
    assert kept and not kept & compressed.layers(it.bare).keys()
    assert all(told["error"] == 0 for name, told in done.layers.items() if name in kept)


LEARN: dict[str, Any] = {"method": {"name": "pela", "ratio": 2}, "learning": RETRAIN}


def test_pela_trains_the_factors_alone_and_comes_near_the_teacher(bench: Bench, base: Outcome) -> None:
    run = compress(bench, base, LEARN)
    start = compress(bench, base).weights("model/compressed.safetensors")
    found = run.weights("model/compressed.safetensors")
    moved = {name for name, value in found.items() if not torch.equal(value, start[name])}
    assert moved == {name for name in found if name.endswith((".down.weight", ".up.weight"))}
    features = run.series("pela/features")
    assert features[max(features)] < features[min(features)]
    quality = run.last.values["quality"]
    assert quality["recovered"]["eval/loss"] < run.series("pruned/eval/loss")[0]


def test_pela_then_fine_tunes_all_weights(bench: Bench, base: Outcome) -> None:
    run = compress(bench, base, LEARN | {"retrain": RETRAIN})
    assert sorted(run.series("train/loss")) == list(range(1, 13))
    alone = compress(bench, base, LEARN)
    name = "model.norm.weight"
    weights = [each.weights("model/compressed.safetensors")[name] for each in (run, alone)]
    assert not torch.equal(*weights)
    one, other = run.last.values["parameters"], alone.last.values["parameters"]
    assert all(one[name] == other[name] for name in ("total", "dense", "trainable"))
    assert one["trained"] == one["total"] > other["trained"]  # all weights, where the first trained factors alone


def pela_hooks(of: Any, teacher: Any) -> Any:
    spec: Any = specs.parse(TINY)
    return pela.Hooks(knobs(pela, epsilon=1e-3), of, spec, teacher)


def test_pela_asks_nothing_of_a_copy_and_leaves_the_teacher_alone() -> None:
    """Factors of full rank compute what the teacher does: only the value that the third term aims at is left."""
    it, teacher = subject(), model("llama")
    for layer in find(it.bare, "all", 0).values():
        factorise(it.bare, layer, min(layer.weight.shape))
    before = {name: value.clone() for name, value in teacher.named_parameters()}
    hooks = pela_hooks(it.bare, teacher)
    terms = hooks.terms(it.bare, it.batches()[0])
    assert float(terms["features"].detach()) < 1e-10 and float(terms["logits"].detach()) < 1e-10
    assert float(terms["perturbation"].detach()) == pytest.approx(1e-6, rel=1e-2)
    total: Any = sum(terms.values())
    total.backward()
    assert isinstance(hooks, Hooks) and same(before, dict(teacher.named_parameters()))
    assert all(value.grad is None for value in teacher.parameters())


def test_the_perturbation_is_that_of_the_weight_that_moved_most() -> None:
    it, teacher = subject(), model("llama")
    lowrank_svd.compress(knobs(lowrank_svd), it)  # type: ignore[arg-type]
    before, found = dense(teacher), compressed.layers(it.bare)
    most = [(found[name].product() - weight).abs().max() for name, weight in before.items()]
    expected = sum((float(value) - 1e-3) ** 2 for value in most) / len(most)
    assert float(pela_hooks(it.bare, teacher).perturbation()) == pytest.approx(expected, rel=1e-5)


def test_every_compressor_is_in_the_family() -> None:
    assert {"lowrank_svd", "pela", "afm", "ptq_rtn"} <= registry.methods("compressors").keys()
