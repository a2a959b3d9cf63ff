"""Natural GaLore: Woodbury's identity, and GaLore where there is no history."""

from __future__ import annotations

import torch

from gpu_jobs.methods.strategies.natural_galore import natural
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import Bench, same

NATURAL = {"name": "natural_galore", "rank": 4, "every": 3, "history": 2}


def test_woodbury_is_the_direct_inverse() -> None:
    rows = torch.randn(3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    strength = 0.5 * rows.square().sum(1).mean() * 3
    fisher = torch.eye(7, dtype=torch.float64) + rows.T @ rows / strength
    torch.testing.assert_close(natural(rows, 0.5), torch.linalg.inv(fisher) @ rows[0])


def test_rows_that_are_not_there_yet_count_for_nothing() -> None:
    """With the gradient alone, F = I + g g^T / (s |g|^2), whose inverse shrinks g by 1 / (1 + 1/s)."""
    rows = torch.zeros(4, 5)
    rows[0] = torch.tensor([3.0, 0, 4, 0, 0])
    torch.testing.assert_close(natural(rows, 1.0), rows[0] / (1 + 1 / 4))


def test_what_is_orthogonal_to_the_history_stays_as_it_is() -> None:
    rows = torch.eye(3, 6)
    rows[0] *= 2
    turned = natural(rows, 1.0)
    assert turned[1:].abs().max() == 0


def test_without_a_history_it_is_galore(bench: Bench) -> None:
    """And GaLore at full rank is the optimizer itself, but for a rotation: see its own tests."""
    runs = [
        jobs.job(bench, method) for method in ({**NATURAL, "history": 0}, {"name": "galore", "rank": 4, "every": 3})
    ]
    for number in range(4):
        for job in runs:
            jobs.step(job, number)
    assert same(*map(jobs.weights, runs))


def test_the_history_holds_the_latest_gradients_of_this_subspace(bench: Bench) -> None:
    job = jobs.job(bench, NATURAL)
    name = "model.layers.0.mlp.gate_proj.weight"
    filled = []
    for number in range(4):
        jobs.step(job, number)
        filled.append(int(job.hooks.history(name).any(1).sum()))  # type: ignore[attr-defined]
    assert filled == [1, 2, 2, 1]


def test_state_takes_the_planned_bytes(bench: Bench) -> None:
    job = jobs.job(bench, NATURAL)
    jobs.step(job)
    own = sum(value.nbytes for value in job.hooks.tensors().values())
    assert jobs.state_bytes(job) + own == jobs.planned(job)
