"""SLERP, model stock and OPCM: what follows from lengths and angles."""

from __future__ import annotations

import math

import pytest
import torch

from gpu_jobs.errors import MethodError
from gpu_jobs.methods.mergers.model_stock import ratio
from gpu_jobs.methods.mergers.opcm import projected
from tests.gpu_jobs.methods.mergers.vectors import flat, knobs, merged, random_weights, single, task_vectors

BASE = random_weights(0)
NAME = "layers.0.q_proj.weight"


def arc(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    """Shoemake's formula."""
    omega = math.acos(float((a * b).sum() / a.norm() / b.norm()))
    return math.sin((1 - t) * omega) / math.sin(omega) * a + math.sin(t * omega) / math.sin(omega) * b


@pytest.mark.parametrize("on", ["delta", "weight"])
def test_slerp_is_its_formula_for_each_weight(on: str) -> None:
    experts = task_vectors(2, size=1.0)
    found = merged(knobs("slerp", on=on), BASE, experts, weights=[1.0, 3.0])
    for name, value in found.items():
        start = BASE[name] if on == "weight" else torch.zeros_like(value)
        a, b = (start + expert[name] for expert in experts)
        assert torch.allclose(value + start, arc(a, b, 0.75), atol=1e-5)


def test_of_three_the_third_is_joined_to_the_arc_of_two() -> None:
    experts = task_vectors(3, size=1.0)
    found = merged(knobs("slerp", on="delta"), BASE, experts)
    a, b, c = (expert[NAME] for expert in experts)
    assert torch.allclose(found[NAME], arc(arc(a, b, 0.5), c, 1 / 3), atol=1e-5)


def test_slerp_keeps_the_length_that_the_mean_loses() -> None:
    a, b = single([1.0, 0.0]), single([0.0, 1.0])
    found = merged(knobs("slerp", on="delta"), single([0.0, 0.0]), [a, b])
    assert flat(found).tolist() == pytest.approx([math.sqrt(0.5)] * 2)


def test_slerp_refuses_weights_that_cancel() -> None:
    with pytest.raises(MethodError, match="cancel"):
        merged(knobs("slerp"), BASE, task_vectors(2), weights=[1.0, -1.0])


def test_model_stock_gives_the_mean_to_those_who_agree_and_the_base_to_those_who_do_not() -> None:
    a, b = single([0.2, 0.0]), single([0.0, 0.1])
    assert flat(merged(knobs("model_stock"), single([1.0, 1.0]), [a, a])).tolist() == pytest.approx([0.2, 0.0])
    assert flat(merged(knobs("model_stock"), single([1.0, 1.0]), [a, b])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("degrees", [10, 45, 80])
def test_of_two_model_stock_takes_the_papers_share(degrees: float) -> None:
    cosine = math.cos(math.radians(degrees))
    assert ratio([[1.0, cosine], [cosine, 1.0]]) == pytest.approx(2 * cosine / (1 + cosine))


def test_model_stock_is_the_point_towards_the_mean_that_lies_nearest_to_the_experts_centre() -> None:
    """Experts of length 1 around a centre c have e_i . e_j = |c|^2 = mean . c, so it is c . mean / |mean|^2."""
    cosine, n = 0.3, 4
    products = [[1.0 if i == j else cosine for j in range(n)] for i in range(n)]
    mean_square = sum(map(sum, products)) / n**2
    assert ratio(products) == pytest.approx(cosine / mean_square)


def test_opcm_keeps_new_experts_clear_of_what_is_there() -> None:
    joined, delta = (expert[NAME] for expert in task_vectors(2, size=1.0))
    share = 0.5
    found = projected(delta, joined, share)
    u, s, vh = torch.linalg.svd(joined, full_matrices=False)
    k = int((s.cumsum(0) / s.sum() <= share).sum())
    assert k > 0
    inner = u.T @ found @ vh.T
    assert torch.allclose(inner[:k, :k], torch.zeros(k, k), atol=1e-5)
    assert torch.allclose(inner.diagonal(), torch.zeros(len(s)), atol=1e-5)
    before = u.T @ delta @ vh.T
    off = ~torch.eye(len(s), dtype=torch.bool)
    off[:k, :k] = False
    assert torch.allclose(inner[off], before[off], atol=1e-5)  # the rest is as it was
    outside = found - u @ inner @ vh
    assert torch.allclose(outside, delta - u @ before @ vh, atol=1e-5)


def test_opcm_gives_a_change_as_long_as_the_mean_task_vector() -> None:
    experts = task_vectors(3)
    found = flat(merged(knobs("opcm"), BASE, experts))
    lengths = [float(flat(expert).norm()) for expert in experts]
    assert float(found.norm()) == pytest.approx(sum(lengths) / 3, rel=1e-5)


def test_opcm_joins_vectors_as_they_are() -> None:
    experts = task_vectors(2)
    found = merged(knobs("opcm"), BASE, experts)["layers.0.norm.weight"]
    both = experts[0]["layers.0.norm.weight"] + experts[1]["layers.0.norm.weight"]
    assert torch.allclose(found / found.norm(), both / both.norm(), atol=1e-6)
