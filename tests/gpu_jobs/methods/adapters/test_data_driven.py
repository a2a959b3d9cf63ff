"""Adapters that look at the data, or at their own scores: CorDA, LoRA-GA, EVA, AdaLoRA."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_jobs import registry
from gpu_jobs.engine import adapters, objective, optim
from gpu_jobs.engine.adapters import rewritten
from gpu_jobs.engine.job import Job
from gpu_jobs.engine.loop import update
from gpu_jobs.methods.adapters import adalora, corda
from tests.gpu_jobs.methods.test_contract import finetune
from tests.gpu_jobs.methods.test_contract import job as prepared
from tests.gpu_jobs.methods.test_lora import build
from tests.gpu_jobs.training import Bench, Outcome


def layer_of(job: Job) -> Any:
    return next(iter(rewritten.lora_layers(job.bare).values()))


def inputs_of(job: Job, layer: Any, samples: int) -> list[torch.Tensor]:
    """What goes into a layer for each of the run's first samples, with the adapter off."""
    seen: list[torch.Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    indices = [index for step in range(samples) for index in job.sampler.indices(step)][:samples]
    with torch.no_grad(), job.bare.disable_adapter():
        for index in indices:
            objective.logits_of(job.bare.eval(), job.data.train.batch(index.reshape(1)))
    handle.remove()
    return seen


def bare_layer(rank: int, alpha: float) -> Any:
    """A LoRA layer on a random (out 24, in 16) weight."""
    knobs = registry.methods("adapters")["lora"].knobs(name="lora", rank=rank, alpha=alpha, targets=["up_proj"])
    return next(iter(rewritten.lora_layers(adapters.attach(knobs, build("llama"), task="causal_lm", seed=0)).values()))


@pytest.mark.parametrize("mode", ["ipm", "kpm"])
def test_corda_at_full_rank_is_the_whole_weight(mode: str) -> None:
    """B A s = U S V^T C^-1 = W when all singular values are taken."""
    layer, x = bare_layer(16, 8.0), torch.randn(200, 16)
    knobs = corda.Knobs(name="corda", rank=16, alpha=8.0, mode=mode)  # type: ignore[arg-type]
    a, b = corda.parts(knobs, layer, x.T @ x / 200)
    torch.testing.assert_close(0.5 * b @ a, layer.base_layer.weight.detach(), atol=1e-4, rtol=0)


def test_corda_of_white_inputs_is_pissa() -> None:
    """With C = I the largest singular values of W C are those of W, so that B A is PiSSA's, whatever the signs."""
    layer = bare_layer(4, 4.0)
    a, b = corda.parts(corda.Knobs(name="corda", rank=4, alpha=4.0), layer, torch.eye(16))
    u, s, vt = torch.linalg.svd(layer.base_layer.weight.detach(), full_matrices=False)
    torch.testing.assert_close(b @ a, u[:, :4] * s[:4] @ vt[:4], atol=1e-5, rtol=1e-4)


def test_corda_keeps_what_the_samples_need_in_the_base() -> None:
    """On inputs of a subspace, `ipm` takes all of their image out of the base and `kpm` none of it."""
    layer, basis = bare_layer(4, 4.0), torch.linalg.qr(torch.randn(16, 4)).Q
    x = torch.randn(500, 4) @ basis.T  # rank 4
    weight = layer.base_layer.weight.detach()
    whole = (x @ weight.T).norm()
    left = {}
    for mode in ("ipm", "kpm"):
        a, b = corda.parts(corda.Knobs(name="corda", rank=4, alpha=4.0, mode=mode), layer, x.T @ x)  # type: ignore[arg-type]
        left[mode] = float((x @ (b @ a).T).norm() / whole)
    assert left["ipm"] == pytest.approx(1, abs=0.05)
    assert left["kpm"] < 0.05


def test_eva_takes_the_main_directions_of_the_inputs(bench: Bench, base: Outcome) -> None:
    job = prepared(bench, base, {"method": {"name": "eva", "rank": 3, "samples": 6}})
    layer = layer_of(job)
    x = torch.cat([sample.flatten(0, -2) for sample in inputs_of(job, layer, 6)])
    a = layer.lora_A["default"].weight.detach()
    torch.testing.assert_close(a @ a.T, torch.eye(3), atol=1e-5, rtol=0)
    largest = torch.linalg.svdvals(x)[:3]
    torch.testing.assert_close((x @ a.T).norm(dim=0), largest, atol=1e-3, rtol=1e-4)


def test_lora_ga_begins_with_singular_vectors_of_the_gradient(bench: Bench, base: Outcome) -> None:
    """A spans the r largest right singular vectors, B the next r left ones, scaled by their values."""
    method = {"name": "lora_ga", "rank": 2, "samples": 4, "targets": ["layers.0.mlp.up_proj"]}
    job = prepared(bench, base, {"method": method})
    layer, plain = layer_of(job), prepared(bench, base, {"method": {"name": "full"}})
    weight = plain.bare.model.layers[0].mlp.up_proj.weight
    for index in job.sampler.indices(0)[:4]:
        batch = job.data.train.batch(index.reshape(1))
        (objective.loss_sum(plain.bare.eval(), batch) / objective.count(batch) / 4).backward()
    u, s, vt = torch.linalg.svd(weight.grad)
    a, b = (value.detach() for value in rewritten.factors(layer))
    torch.testing.assert_close(a.T @ a, vt[:2].T @ vt[:2], atol=1e-3, rtol=1e-3)
    stable = weight.shape[0] ** 0.25 / 16**0.5
    left = u[:, 2:4] * s[2:4] * stable
    torch.testing.assert_close(b @ b.T, left @ left.T, atol=1e-4, rtol=1e-2)


@pytest.mark.parametrize("name", ["corda", "lora_ga", "eva"])
def test_the_beginning_is_not_looked_for_again(bench: Bench, base: Outcome, name: str) -> None:
    """Resumed on weights that have moved on, it begins where the first attempt did."""
    inputs = {"run:1": base.work_dir / "model"}
    asked = {"kind": "finetune", "model": {"source": "run", "run": 1}, "steps": 2, "checkpoint_at_end": True,
             "method": {"name": name, "rank": 2}, "optimizer": {"name": "adamw", "lr": 1e-2}}  # fmt: skip
    first = bench.run(asked, inputs=inputs)
    from gpu_jobs.engine.job import prepare
    from gpu_jobs.engine.ranks import ALONE

    fresh = prepare(finetune(asked), bench.context(inputs=inputs), ALONE)
    context = bench.context(inputs=inputs, resume_from=first.work_dir / "checkpoints/step-2")
    again = prepare(finetune(asked), context, ALONE)
    bases = [
        {key: value for key, value in job.bare.named_parameters() if "base_layer" in key} for job in (fresh, again)
    ]
    assert all(bases[0][key].equal(bases[1][key]) for key in bases[0])
    assert not layer_of(fresh).lora_A["default"].weight.equal(layer_of(again).lora_A["default"].weight)


ADALORA = {"name": "adalora", "init_rank": 4, "target_rank": 2, "warmup": 0.2, "final": 0.3, "targets": "all"}


def test_adalora_keeps_to_the_cubic_budget(bench: Bench, base: Outcome) -> None:
    """b(t) = target + (init - target) (1 - (t - t_i) / (T - t_f - t_i))^3 after each step; exactly that many E stay."""
    job = prepared(bench, base, {"method": ADALORA, "steps": 10, "optimizer": {"name": "adamw", "lr": 1e-2}})
    layers, ramp = 2 * 7, 10 - 3 - 2
    left, total = [], []
    for step in range(10):
        optim.set_rate(job.spec, job.optimizer, step + 1)
        update(job, step)
        left.append(float(job.hooks.readings()["rank/total"]))
        total.append(sum(float(value) for name, value in job.hooks.readings().items()
                         if name.startswith("rank/") and name != "rank/total"))  # fmt: skip
    budget = [int(layers * (2 + 2 * (1 - (step - 2) / ramp) ** 3)) for step in range(3, 8)]
    assert left[2:7] == budget
    assert left[6:] == [layers * 2] * 4
    assert left == total


def test_adalora_s_penalty_is_zero_for_orthonormal_factors(bench: Bench, base: Outcome) -> None:
    job = prepared(bench, base, {"method": ADALORA})
    assert isinstance(job.hooks, adalora.Hooks)
    assert float(job.hooks.penalty()) > 0.1
    for name, value in job.hooks.trained().items():
        if ".lora_A." in name or ".lora_B." in name:
            torch.nn.init.orthogonal_(value)
    assert float(job.hooks.penalty()) == pytest.approx(0, abs=1e-5)


def test_a_penalty_s_gradient_is_added_to_the_loss_s(bench: Bench, base: Outcome) -> None:
    """The gradient is that of loss + penalty, and the loss that is told is the loss alone."""
    seen: dict[float, dict[str, torch.Tensor]] = {}
    losses: dict[float, float] = {}
    for weight in (0.0, 2.0):
        job = prepared(bench, base, {"method": {**ADALORA, "orth": weight}, "clip_norm": 0})
        assert isinstance(job.hooks, adalora.Hooks)
        job.optimizer.step = lambda closure=None: None  # type: ignore[method-assign]
        kept: dict[str, torch.Tensor] = {}

        def keep(*_: Any, job: Job = job, kept: dict[str, torch.Tensor] = kept, **__: Any) -> None:
            kept.update(
                {name: value.grad.clone() for name, value in job.hooks.trained().items() if value.grad is not None}
            )

        job.optimizer.zero_grad = keep  # type: ignore[method-assign]
        losses[weight] = float(update(job, 0)[0])
        seen[weight] = kept
        if weight:
            penalty = torch.autograd.grad(job.hooks.penalty(), list(job.hooks.trained().values()), allow_unused=True)
            expected = dict(zip(job.hooks.trained(), penalty, strict=True))
    assert losses[0.0] == losses[2.0]
    for name, value in expected.items():
        added = 0 if value is None else value
        torch.testing.assert_close(seen[2.0][name], seen[0.0][name] + added, atol=1e-6, rtol=1e-5)
