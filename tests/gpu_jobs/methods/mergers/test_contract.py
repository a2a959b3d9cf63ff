"""What every merger promises. New files in the registry are tested here without a word more."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_jobs import registry
from tests.gpu_jobs.methods.mergers.vectors import flat, knobs, merged, random_weights, task_vectors

MERGERS = registry.methods("mergers")
BASE = random_weights(0)
every_merger = pytest.mark.parametrize("name", sorted(MERGERS))


def says(name: str, constant: str, default: Any = False) -> Any:
    return getattr(MERGERS[name].module, constant, default)


@every_merger
def test_experts_that_are_the_base_change_nothing(name: str) -> None:
    zero = {key: torch.zeros_like(value) for key, value in BASE.items()}
    found = merged(knobs(name), BASE, [zero, zero, zero])
    assert all((found[key] * knobs(name).scale + value).equal(value) for key, value in BASE.items())


@pytest.mark.parametrize("name", [name for name in sorted(MERGERS) if hasattr(MERGERS[name].module, "PLAIN")])
def test_a_single_expert_comes_out_as_it_went_in(name: str) -> None:
    (expert,) = task_vectors(1)
    found = merged(knobs(name, **says(name, "PLAIN")), BASE, [expert])
    assert torch.allclose(flat(found), flat(expert), atol=1e-6)


@every_merger
def test_the_order_of_the_experts_matters_only_where_it_is_said(name: str) -> None:
    method = knobs(name, **(says(name, "PLAIN") if says(name, "DROPS") else {}))  # what is dropped is drawn by place
    if name == "slerp":
        method = knobs(name, on="delta")
    experts = task_vectors(3)
    there, back = (flat(merged(method, BASE, order)) for order in (experts, experts[::-1]))
    assert torch.allclose(there, back, atol=1e-7) != says(name, "SEQUENTIAL")


@every_merger
def test_every_merger_changes_something_and_keeps_the_shapes(name: str) -> None:
    found = merged(knobs(name), BASE, task_vectors(3))
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in BASE.items()}
    assert float(flat(found).abs().max()) > 0
    assert bool(flat(found).isfinite().all())


@pytest.mark.parametrize("name", [n for n in sorted(MERGERS) if not says(n, "WHOLE") and not says(n, "DROPS")])
def test_the_pieces_that_weights_are_read_in_do_not_show(name: str) -> None:
    experts = task_vectors(3)
    small, large = (flat(merged(knobs(name), BASE, experts, rows=rows)) for rows in (1, 1_000))
    assert torch.allclose(small, large, atol=1e-8)


@every_merger
def test_the_seed_decides_what_is_drawn(name: str) -> None:
    experts = task_vectors(2)
    one, same, other = (flat(merged(knobs(name), BASE, experts, seed=seed)) for seed in (1, 1, 2))
    assert one.equal(same)
    assert one.equal(other) != says(name, "DROPS")


@pytest.mark.parametrize("name", ["average", "task_arithmetic", "magnitude_prune", "breadcrumbs", "slerp"])
def test_where_changes_are_only_added_an_expert_without_weight_is_not_there(name: str) -> None:
    """With others it still has a say in signs, means and merits."""
    experts = task_vectors(2)
    both = merged(knobs(name), BASE, experts, weights=[1.0, 0.0])
    assert torch.allclose(flat(both), flat(merged(knobs(name), BASE, experts[:1])), atol=1e-7)
