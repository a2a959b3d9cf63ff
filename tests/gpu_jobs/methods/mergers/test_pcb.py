"""PCB against its equations on whole task vectors, sorted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gpu_jobs.methods.mergers import pcb
from tests.gpu_jobs.methods.mergers.vectors import Weights, flat, knobs, merged, random_weights, stream_of, task_vectors

BASE = random_weights(0)


def unit(values: Tensor) -> Tensor:
    low, high = values.min(1, keepdim=True).values, values.max(1, keepdim=True).values
    return (values - low) / (high - low)


def plainly(deltas: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """(merged, m) of task vectors (experts, entries)."""
    n, d = deltas.shape
    ordered = deltas.abs().sort(1).values
    clamped = deltas.abs().clamp(ordered[:, [int(d * 0.0001)]], ordered[:, [int(d * 0.9999 - 1)]])
    score = (n * unit(clamped) ** 2).exp() * (deltas * deltas.sum(0)).tanh()
    floor = score.sort(1).values[:, [int(d * (1 - ratio))]]
    m = unit(score.maximum(floor))
    return (m * deltas.sign() * clamped).sum(0) / m.sum(0).clamp(min=1e-12), m


def merits(experts: list[Weights], ratio: float) -> Tensor:
    method: Any = knobs("pcb", ratio=ratio)
    stream = stream_of(BASE, experts)
    state = pcb.survey(method, stream)
    return torch.cat([torch.stack(pcb.merits(method, chunk, state)).flatten(1) for chunk in stream.chunks()], 1)


@pytest.mark.parametrize("ratio", [0.05, 0.1, 0.5])
def test_it_is_its_equations(ratio: float) -> None:
    experts = task_vectors(3, size=0.5)
    wanted, m = plainly(torch.stack([flat(expert) for expert in experts]), ratio)
    assert torch.allclose(merits(experts, ratio), m, atol=1e-5)
    assert torch.allclose(flat(merged(knobs("pcb", ratio=ratio), BASE, experts)), wanted, atol=1e-5)


@pytest.mark.parametrize("ratio", [0.05, 0.1, 0.5])
def test_the_share_that_is_kept_is_the_ratio(ratio: float) -> None:
    m = merits(task_vectors(3, size=0.5), ratio)
    kept = (m > 0).sum(1)
    d = m.shape[1]
    assert kept.tolist() == [d - int(d * (1 - ratio)) - 1] * 3  # the entry at the cutoff has merit 0
    assert m.max(1).values.tolist() == [1.0] * 3


def test_alone_an_expert_is_its_trimmed_self() -> None:
    (expert,) = task_vectors(1, size=0.5)
    kept = merits([expert], 0.2)[0] > 0
    values = flat(expert)
    ordered = values.abs().sort().values
    clamped = values.sign() * values.abs().clamp(float(ordered[0]), float(ordered[int(len(ordered) * 0.9999 - 1)]))
    assert torch.allclose(flat(merged(knobs("pcb", ratio=0.2), BASE, [expert])), clamped * kept, atol=1e-6)
