"""MoS: pools of shards."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_jobs.engine import adapters
from gpu_jobs.engine.adapters import host
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.engine.test_adapters import build, outputs
from tests.gpu_jobs.methods.adapters.layers import knobs_of, planned_and_built


def adapted(**knobs: Any) -> Any:
    return adapters.attach(knobs_of("mos_shards", **knobs), build("llama"), task="causal_lm", seed=0)


@pytest.mark.parametrize("rank", [4, 16])
@pytest.mark.parametrize("shards", [1, 4])
def test_it_trains_what_a_lora_of_the_equivalent_rank_does_whatever_its_own_rank(rank: int, shards: int) -> None:
    knobs = {"equivalent_rank": 3, "rank": rank, "shards": shards}
    planned, built, _ = planned_and_built("llama", "mos_shards", **knobs)
    assert planned == built == 2 * 4 * 3 * (16 + 16)


def test_layers_of_a_type_share_the_storage_of_their_pools_and_other_types_do_not() -> None:
    layers = host.adapted(adapted())
    first, second = (layers[f"model.layers.{block}.self_attn.q_proj"].values for block in (0, 1))
    assert first.A is second.A
    assert first.B is second.B
    assert first.A is not layers["model.layers.0.self_attn.k_proj"].values.A


def test_equal_indices_are_equal_rows_and_private_shards_have_one_layer() -> None:
    layers = host.adapted(adapted(equivalent_rank=4, rank=4, shards=2, private=1))
    first, second = (layers[f"model.layers.{block}.self_attn.q_proj"] for block in (0, 1))
    one, other = first.values.index_A, second.values.index_A
    private = [set(index[0].tolist()) for index in (one, other)]
    assert private == [{0, 1}, {2, 3}]
    assert not private[0] & set(other.flatten().tolist())
    assert min(one[1:].min(), other[1:].min()) >= 4
    a, _ = first.lora()
    torch.testing.assert_close(a[2], first.values.A[one[2]].flatten())
    assert all(len(set(index.flatten().tolist())) == index.numel() for index in (one, other))


def test_indices_of_a_and_b_are_drawn_apart() -> None:
    values = next(iter(host.adapted(adapted(equivalent_rank=4)).values())).values
    assert not values.index_A.equal(values.index_B)


def test_it_begins_at_the_base_and_merges() -> None:
    plain = outputs(build("llama"))
    model = adapted()
    assert outputs(model).equal(plain)
    for value in model.parameters():
        if value.requires_grad:
            torch.nn.init.normal_(value, std=0.2)
    expected = outputs(model)
    assert not torch.allclose(expected, plain, atol=1e-2)
    torch.testing.assert_close(outputs(adapters.merge(model)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("knobs", "complaint"),
    [({"shards": 3}, "must divide 16"), ({"private": 2}, "must leave rows to share"), ({"private": 9, "rank": 8,
     "equivalent_rank": 12}, "must not exceed rank")],
)  # fmt: skip
def test_knobs_that_do_not_fit_are_refused(knobs: dict[str, Any], complaint: str) -> None:
    with pytest.raises(MethodError, match=complaint):
        adapted(**knobs)
