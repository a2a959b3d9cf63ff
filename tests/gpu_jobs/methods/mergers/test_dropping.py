"""DARE, DAREx and DELLA leave the expected task vector as it is, with the variance they state."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from tests.gpu_jobs.methods.mergers.vectors import flat, knobs, merged, random_weights, single, task_vectors

BASE = random_weights(0)
DRAWS = 3000
ROW = single([0.5, -0.25, 0.1, 2.0, -1.0, 0.01, 0.3, -0.7])
PLAIN_SUM = {"name": "task_arithmetic"}


def draws(name: str, **values: Any) -> torch.Tensor:
    """(draws, entries) of what becomes of one task vector."""
    method = knobs(name, then=PLAIN_SUM, **values)
    return torch.stack([flat(merged(method, single([0.0] * 8), [ROW], seed=seed)) for seed in range(DRAWS)])


@pytest.mark.parametrize(("name", "values"), [("dare", {"drop": 0.7}), ("della", {"drop": 0.5, "spread": 0.4})])
def test_what_is_expected_stays_as_it_was(name: str, values: dict[str, Any]) -> None:
    found = draws(name, **values)
    error = found.std(0) / math.sqrt(DRAWS)
    assert bool(((found.mean(0) - flat(ROW)).abs() <= 4 * error).all())


def test_dares_variance_is_p_over_1_less_p_of_the_square() -> None:
    p = 0.7
    found = draws("dare", drop=p)
    wanted = p / (1 - p) * flat(ROW).square()
    kurtosis = (1 - p) * (p / (1 - p)) ** 4 + p  # fourth moment of m / (1 - p) - 1, in units of the delta
    error = flat(ROW).square() * math.sqrt((kurtosis - (p / (1 - p)) ** 2) / DRAWS)
    assert bool(((found.var(0) - wanted).abs() <= 4 * error).all())


def test_how_many_are_dropped_is_binomial() -> None:
    p, n = 0.3, DRAWS * 8
    dropped = int((draws("dare", drop=p) == 0).sum())
    assert abs(dropped - n * p) <= 4 * math.sqrt(n * p * (1 - p))


def test_what_is_left_is_pefts_rescaled_value() -> None:
    found = draws("dare", drop=0.75)
    left = found != 0
    assert torch.allclose(found[left], (flat(ROW) / 0.25).expand_as(found)[left])


def test_experts_and_weights_are_dropped_by_draws_of_their_own() -> None:
    ones = {name: torch.ones_like(value) for name, value in BASE.items()}
    found = merged(knobs("dare", drop=0.5), BASE, [ones, ones])
    counts = flat(found).unique(return_counts=True)
    assert counts[0].tolist() == [0.0, 2.0, 4.0]  # both dropped, one, none
    first, last = found["layers.0.q_proj.weight"][:8], found["layers.1.q_proj.weight"]
    assert not first.equal(last)


def test_darex_at_1_less_p_is_dare_and_else_its_rest_is_smaller() -> None:
    experts = task_vectors(2)
    dare = flat(merged(knobs("dare", drop=0.9), BASE, experts))
    assert torch.allclose(flat(merged(knobs("darex", drop=0.9, q=0.1), BASE, experts)), dare)
    assert torch.allclose(flat(merged(knobs("darex", drop=0.9, q=0.4), BASE, experts)), dare / 4)


def test_what_would_raise_the_expectation_is_refused() -> None:
    with pytest.raises(ValidationError, match="q must be at least 1 - drop"):
        knobs("darex", drop=0.5, q=0.2)
    with pytest.raises(ValidationError, match="must lie between 0"):
        knobs("della", drop=0.05, spread=0.4)


def test_della_drops_the_small_more_often_by_its_line() -> None:
    from gpu_jobs.methods.mergers.della import probabilities

    method: Any = knobs("della", drop=0.5, spread=0.2)
    found = probabilities(method, ROW["w"]).flatten()
    order = flat(ROW).abs().argsort()
    assert torch.allclose(found[order], torch.linspace(0.6, 0.4, 8))


def test_the_merger_after_it_gets_what_was_dropped() -> None:
    """A trim of the whole task vector must be that of the dropped one."""
    experts, values = task_vectors(3), {"drop": 0.4}
    dropped = [merged(knobs("dare", **values), BASE, [expert]) for expert in experts[:1]]
    ties = {"name": "ties", "density": 0.5}
    assert flat(merged(knobs("dare", then=ties, **values), BASE, experts[:1])).equal(
        flat(merged(knobs("ties", density=0.5), BASE, dropped))
    )


def test_the_scale_of_the_merger_after_it_counts() -> None:
    experts = task_vectors(2)
    one, half = (
        flat(merged(knobs("dare", drop=0.0, then={**PLAIN_SUM, "scale": scale}), BASE, experts)) for scale in (1, 0.5)
    )
    assert torch.allclose(one / 2, half)


def test_dropping_whole_weights_leaves_none_of_the_base() -> None:
    base = single([4.0] * 8)
    found = flat(merged(knobs("dare", drop=0.5, on="weight"), base, [single([0.0] * 8)])) + 4
    assert set(found.tolist()) == {0.0, 8.0}
