"""SlimFit: what is frozen when, and that few bits for the backward cost little gradient."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from gpu_jobs.engine import saved
from gpu_jobs.engine.loop import _backward
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench, distance

SLIM = {"name": "slimfit", "share": 0.7}


def scored(job: Any) -> list[str]:
    """Matrices and the weights of norms."""
    return [name for name, value in job.bare.named_parameters() if value.ndim > 1 or "bias" not in name]


def test_the_frozen_share_is_exact_and_every_weight_has_its_turn_at_first(bench: Bench) -> None:
    job = jobs.job(bench, SLIM, model={"architecture": "gpt2"})
    names = scored(job)
    frozen, seen = math.floor(0.7 * len(names)), set()
    for number in range(math.ceil(len(names) / (len(names) - frozen))):
        before = jobs.weights(job)
        jobs.step(job, number)
        moved = jobs.moved(job, before)
        assert len(moved & set(names)) == len(names) - frozen == job.hooks.readings()["active/weights"]
        assert {name for name in before if name.endswith("bias")} <= moved
        seen |= moved & set(names)
    assert seen == set(names)


def test_scores_are_the_mean_relative_change_of_what_was_trained(bench: Bench) -> None:
    job = jobs.job(bench, SLIM)
    hooks: Any = job.hooks
    before, scores = jobs.weights(job), hooks.scores.clone()
    jobs.step(job)
    for place, name in enumerate(scored(job)):
        if place in hooks.active:
            change = ((job.bare.get_parameter(name).detach() - before[name]) / before[name]).abs().double()
            rest = before[name] != 0
            expected = change[rest].sum() / rest.numel()
            torch.testing.assert_close(hooks.scores[place], expected, rtol=1e-4, atol=0)
        else:
            assert hooks.scores[place] == scores[place]
    assert set(hooks.active) == set(scores.argsort()[-len(hooks.active) :].tolist())


def test_eight_bits_are_off_by_half_a_step_at_most() -> None:
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * 5
    off = (saved.unpack(saved.pack(x)) - x).abs().max()
    assert off <= x.abs().max() / 127 / 2 * (1 + 1e-5)


def test_four_bits_are_the_nearest_half_from_minus_four_to_three_and_a_half() -> None:
    x = torch.linspace(-6, 6, 1001)
    packed = saved.pack_halves(x)
    assert packed.nbytes == 501
    expected = (x * 2).round().clamp(-8, 7) / 2
    assert saved.unpack_halves(packed, x.shape, x.dtype).equal(expected)


def test_the_slope_of_gelu_is_off_by_a_fifth_at_most() -> None:
    """Its second derivative is below 0.8 and x off by 1/4; beyond the ends its slope is within 0.01 of theirs."""
    x = torch.linspace(-8, 8, 2001, requires_grad=True)
    exact = torch.autograd.grad(torch.nn.functional.gelu(x).sum(), x)[0]
    rough = torch.autograd.grad(saved.FewBits.apply(x, torch.nn.functional.gelu).sum(), x)[0]
    assert (exact - rough).abs().max() <= 0.8 / 4
    assert (exact - rough)[x.abs() > 4].abs().max() <= 0.01


@pytest.mark.parametrize("is_centred", [True, False])
def test_a_norm_that_keeps_everything_has_torch_s_own_gradient(is_centred: bool) -> None:
    torch.manual_seed(0)
    norm = torch.nn.LayerNorm(16) if is_centred else torch.nn.RMSNorm(16, eps=1e-5)
    torch.nn.init.normal_(norm.weight)
    x, gradient = torch.randn(3, 5, 16, requires_grad=True), torch.randn(3, 5, 16)
    wanted = [x, norm.bias] if is_centred else [x]
    y = saved.SparseNorm.apply(x, getattr(norm, "bias", None), norm.weight.detach(), 1e-5, 1.0, norm)
    assert y.equal(norm(x))
    rough, exact = (torch.autograd.grad(found, wanted, gradient) for found in (y, norm(x)))
    torch.testing.assert_close(rough, exact, atol=1e-5, rtol=1e-5)


def test_a_product_s_gradient_is_off_by_half_a_step_of_its_input_at_most() -> None:
    """dW = g^T x: each entry by the sum of |g| times half a step."""
    torch.manual_seed(0)
    layer, x, gradient = torch.nn.Linear(8, 6), torch.randn(10, 8), torch.randn(10, 6)
    exact = torch.autograd.grad(layer(x), layer.weight, gradient)[0]
    own = {value.untyped_storage().data_ptr() for value in layer.parameters()}
    forward: Any = saved._wrapper(layer, own, 0.1)
    rough = torch.autograd.grad(forward(x), layer.weight, gradient)[0]
    bound = gradient.abs().sum(0)[:, None] * x.abs().max() / 127 / 2
    assert ((exact - rough).abs() <= bound * (1 + 1e-4)).all()
    assert not exact.equal(rough)


class Kept:
    """Counts the bytes that are kept for a backward: what hooks above it have packed is counted as packed."""

    def __init__(self, job: Any) -> None:
        self.own = {value.untyped_storage().data_ptr() for value in job.bare.parameters()}
        self.bytes: dict[int, int] = {}
        self.held: list[Any] = []

    def __call__(self, value: Any) -> Any:
        for tensor in value if isinstance(value, tuple) else (value,):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in self.own:
                self.bytes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
                self.held.append(tensor)
        return value


def kept_bytes(bench: Bench, architecture: str, monkeypatch: pytest.MonkeyPatch, *, compress: bool) -> int:
    job = jobs.job(bench, {**SLIM, "share": 0.9, "compress": compress}, model={"architecture": architecture})
    kept = Kept(job)
    monkeypatch.setattr(saved, "saved_tensors_hooks", lambda keep, give: hooks(lambda x: kept(keep(x)), give))
    job.hooks.before_step(None)  # type: ignore[arg-type]
    batch = job.batches(job.sampler.indices(0), 1)[0]
    from torch.autograd.graph import saved_tensors_hooks as hooks

    with hooks(kept, lambda value: value):
        job.loss_sum(job.model, batch)
    monkeypatch.undo()
    return sum(kept.bytes.values())


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_less_is_kept_for_the_backward(bench: Bench, architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The output layer, which keeps as much as ever, is counted, too: over 258 tokens it is a good part here."""
    plain = kept_bytes(bench, architecture, monkeypatch, compress=False)
    slim = kept_bytes(bench, architecture, monkeypatch, compress=True)
    assert slim < 0.8 * plain


@pytest.mark.parametrize(
    ("architecture", "precision"), [("llama", "fp32"), ("gpt2", "fp32"), ("vit", "fp32"), ("llama", "bf16")]
)
def test_the_forward_is_the_same_to_the_bit_and_the_gradient_points_the_same_way(
    bench: Bench, architecture: str, precision: str
) -> None:
    """With all weights trained, norms are exact, and 8 bits and 4 turn the gradient by less than 15 degrees."""
    changes: dict[str, Any] = {"model": {"architecture": architecture}}
    if architecture == "vit":
        changes = {"model": {"architecture": "vit", "image_size": 8, "patch_size": 2, "channels": 1},
                   "data": {"source": "builtin", "name": "digits"}}  # fmt: skip
    losses, gradients = [], []
    for compress in (False, True):
        job = jobs.job(bench, {"name": "slimfit", "share": 0, "compress": compress}, **changes, precision=precision)
        parts = job.batches(job.sampler.indices(0), 1)
        losses.append(_backward(job, parts, torch.tensor(1.0)))
        gradients.append(torch.cat([value.grad.flatten() for value in job.bare.parameters() if value.grad is not None]))
    assert losses[0].equal(losses[1])
    exact, rough = gradients
    assert torch.nn.functional.cosine_similarity(exact, rough, dim=0) > math.cos(math.radians(15))
    assert not exact.equal(rough)


def test_without_freezing_and_without_bits_it_is_full_fine_tuning(bench: Bench) -> None:
    runs = [jobs.job(bench, method) for method in ({"name": "slimfit", "share": 0, "compress": False}, "full")]
    for job in runs:
        jobs.step(job)
    assert distance(*map(jobs.weights, runs)) == 0


def test_gradients_are_no_more_than_planned(bench: Bench) -> None:
    job = jobs.job(bench, SLIM)
    for number in range(4):
        job.hooks.before_step(None)  # type: ignore[arg-type]
        parts = job.batches(job.sampler.indices(number), 1)
        _backward(job, parts, torch.tensor(1.0))
        made = sum(value.grad.nbytes for value in job.bare.parameters() if value.grad is not None)
        assert 0 < made <= jobs.planned(job, "gradients")
        jobs.step(job, number)


def test_checkpointed_activations_are_refused(bench: Bench) -> None:
    with pytest.raises(MethodError, match="gradient_checkpointing"):
        jobs.job(bench, SLIM, gradient_checkpointing=True)
