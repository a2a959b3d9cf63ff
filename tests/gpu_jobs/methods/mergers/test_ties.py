"""TIES and magnitude pruning against HF PEFT, and against the paper's three steps written down plainly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft.utils import merge_utils
from torch import Tensor

from tests.gpu_jobs.methods.mergers.vectors import Weights, flat, knobs, merged, random_weights, single, task_vectors

BASE = random_weights(0)
WEIGHTS = [1.0, 0.5, 2.0]


def of(name: str, experts: list[Weights]) -> list[Tensor]:
    return [expert[name] for expert in experts]


@pytest.mark.parametrize("sign", ["total", "frequency"])
@pytest.mark.parametrize("density", [0.2, 0.5])
def test_trimmed_by_weight_it_is_pefts(sign: Any, density: float) -> None:
    experts = task_vectors(3)
    found = merged(knobs("ties", density=density, sign=sign, trim="tensor"), BASE, experts, weights=WEIGHTS)
    for name, value in found.items():
        reference = merge_utils.ties(of(name, experts), torch.tensor(WEIGHTS), density, sign)
        assert torch.allclose(value, reference, atol=1e-8)


def test_magnitude_pruning_is_pefts() -> None:
    experts = task_vectors(3)
    found = merged(knobs("magnitude_prune", density=0.3), BASE, experts, weights=WEIGHTS)
    for name, value in found.items():
        reference = merge_utils.magnitude_prune(of(name, experts), torch.tensor(WEIGHTS), 0.3)
        assert torch.allclose(value, reference, atol=1e-8)


def plainly(experts: list[Tensor], density: float) -> Tensor:
    """Trim, elect, mean: entry by entry, over whole task vectors."""
    kept = int(density * experts[0].numel())
    lows = [float(expert.abs().sort(descending=True).values[kept - 1]) for expert in experts]
    result = []
    for entry in zip(*[expert.tolist() for expert in experts], strict=True):
        left = [value if abs(value) >= low else 0.0 for value, low in zip(entry, lows, strict=True)]
        sign = 1 if sum(left) >= 0 else -1
        agreeing = [value for value in left if value * sign > 0]
        result.append(sum(agreeing) / len(agreeing) if agreeing else 0.0)
    return torch.tensor(result)


@pytest.mark.parametrize("density", [0.1, 0.2, 0.7])
def test_trimmed_as_a_whole_it_is_the_papers(density: float) -> None:
    experts = task_vectors(4)
    found = flat(merged(knobs("ties", density=density), BASE, experts))
    assert torch.allclose(found, plainly([flat(expert) for expert in experts], density), atol=1e-8)


def test_of_two_opposite_entries_the_larger_is_kept() -> None:
    found = merged(knobs("ties", density=1), single([0.0, 0.0]), [single([0.3, -0.1]), single([-0.2, 0.4])])
    assert flat(found).tolist() == pytest.approx([0.3, 0.4])


def test_of_entries_that_agree_it_is_the_mean() -> None:
    found = merged(knobs("ties", density=1), single([0.0, 0.0]), [single([0.3, -0.1]), single([0.1, -0.5])])
    assert flat(found).tolist() == pytest.approx([0.2, -0.3])


def test_breadcrumbs_keep_what_lies_between() -> None:
    (expert,) = task_vectors(1)
    found = merged(knobs("breadcrumbs", small=0.5, outliers=0.1), BASE, [expert])
    for name, value in found.items():
        n = value.numel()
        order = expert[name].flatten().abs().argsort()
        kept = torch.zeros(n, dtype=torch.bool)
        kept[order[int(0.5 * n) : n - int(0.1 * n)]] = True
        assert value.flatten().equal(expert[name].flatten() * kept)


def test_the_average_is_the_mean_of_the_models() -> None:
    experts = task_vectors(3)
    models = torch.stack([flat(BASE) + flat(expert) for expert in experts])
    weighted = (models * torch.tensor(WEIGHTS)[:, None]).sum(0) / sum(WEIGHTS)
    found = flat(BASE) + flat(merged(knobs("average"), BASE, experts, weights=WEIGHTS))
    assert torch.allclose(found, weighted, atol=1e-6)


def test_weights_that_have_no_mean_are_refused() -> None:
    from gpu_jobs.errors import MethodError

    with pytest.raises(MethodError, match="add up to 0"):
        merged(knobs("average"), BASE, task_vectors(2), weights=[1.0, -1.0])
