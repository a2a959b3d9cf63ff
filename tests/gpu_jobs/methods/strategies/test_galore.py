"""GaLore: the update of the algorithm, and an optimizer whose state is as small as planned."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_jobs import registry
from gpu_jobs.contracts import Step
from gpu_jobs.engine import optim
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench, distance

GALORE = {"name": "galore", "rank": 4, "every": 3}
SGD_LIKE = {"name": "adamw", "lr": 1e-2, "beta1": 0, "weight_decay": 0.1}
TALL, WIDE = "model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.down_proj.weight"


def gradients(job: Any) -> dict[str, torch.Tensor]:
    return {name: value.grad.clone() for name, value in job.bare.named_parameters()}


def test_a_step_is_adam_in_the_subspace_and_decay_of_all_of_the_weight(bench: Bench) -> None:
    """First step of Adam: g / (|g| + eps) in the basis of the gradient's own singular vectors."""
    job = jobs.job(bench, {**GALORE, "scale": 0.5}, optimizer=SGD_LIKE, clip_norm=0)
    before, seen = jobs.weights(job), {}

    def remember(step: Step) -> torch.Tensor:
        loss = step.backward()
        seen.update(gradients(job))
        return loss

    job.hooks.gradients = remember  # type: ignore[method-assign]
    jobs.step(job)
    for name, is_tall in ((TALL, True), (WIDE, False)):
        w, g = before[name], seen[name]
        u, _, v = torch.linalg.svd(g, full_matrices=False)
        basis = v[:4].T if is_tall else u[:, :4]
        inside = w @ basis @ basis.T if is_tall else basis @ basis.T @ w
        low = g @ basis if is_tall else basis.T @ g
        adam = low / (low.abs() + 1e-8)
        full = adam @ basis.T if is_tall else basis @ adam
        expected = w - 1e-2 * 0.1 * (w - inside) - 0.5 * 1e-2 * (full + 0.1 * inside)
        torch.testing.assert_close(job.bare.get_parameter(name).data, expected, atol=1e-5, rtol=1e-4)


def test_the_update_has_the_rank_and_stays_in_the_subspace_until_it_is_chosen_again(bench: Bench) -> None:
    job = jobs.job(bench, GALORE, optimizer={"name": "adamw", "weight_decay": 0})
    bases = []
    start = jobs.weights(job)[TALL]
    for number in range(4):
        jobs.step(job, number)
        bases.append(job.hooks.projections[TALL].basis.clone())  # type: ignore[attr-defined]
        if number == 2:
            change = job.bare.get_parameter(TALL).data - start
            assert torch.linalg.matrix_rank(change, tol=1e-5) == 4
            torch.testing.assert_close(change @ bases[0] @ bases[0].T, change, atol=1e-6, rtol=1e-4)
    assert bases[0].equal(bases[2])
    assert not bases[2].equal(bases[3])
    torch.testing.assert_close(bases[0].T @ bases[0], torch.eye(4), atol=1e-5, rtol=0)


def test_state_r_and_q_take_the_planned_bytes(bench: Bench) -> None:
    job = jobs.job(bench, GALORE)
    jobs.step(job)
    own = sum(value.nbytes for value in job.hooks.tensors().values())
    assert jobs.state_bytes(job) + own == jobs.planned(job)
    assert jobs.planned(job) < jobs.planned(jobs.job(bench, "full"))


def test_small_is_smaller_by_the_formula(bench: Bench) -> None:
    """A square weight of width d: 8 d r of state instead of 8 d^2."""
    job = jobs.job(bench, GALORE)
    jobs.step(job)
    projection = job.hooks.projections["model.layers.0.self_attn.q_proj.weight"]  # type: ignore[attr-defined]
    kept = [value for value in job.optimizer.state[projection.small].values() if value.ndim]
    assert sum(value.nbytes for value in kept) == 8 * 16 * 4


@pytest.mark.parametrize("optimizer", sorted(registry.methods("optimizers")))
def test_any_optimizer_works_on_the_projections(bench: Bench, optimizer: str) -> None:
    job = jobs.job(bench, GALORE, optimizer={"name": optimizer})
    optim.set_rate(job.spec, job.optimizer, 0)
    losses = [float(jobs.update(job, 0, float(job.spec.optimizer.lr))[0]) for _ in range(10)]  # type: ignore[attr-defined]
    assert losses[-1] < losses[0]


def test_at_full_rank_an_update_without_rotation_is_full_fine_tuning(bench: Bench) -> None:
    """g / (|g| + 1) is g, to a hundredth when no gradient is longer than that, and g commutes with rotations."""
    linear = {"name": "adamw", "lr": 1, "eps": 1, "beta1": 0, "beta2": 0, "weight_decay": 0.1}
    galore, full = (
        jobs.job(bench, method, optimizer=linear, clip_norm=0.01) for method in ({**GALORE, "rank": 16}, "full")
    )
    before = jobs.weights(full)
    for job in (galore, full):
        jobs.step(job)
    assert distance(jobs.weights(galore), jobs.weights(full)) < 0.01 * 0.01
    assert distance(jobs.weights(full), before) > 0.001  # far more than they differ


def test_fsdp_is_refused(bench: Bench) -> None:
    with pytest.raises(MethodError, match="ddp"):
        jobs.job(bench, GALORE, gpus=2, parallel="fsdp")
