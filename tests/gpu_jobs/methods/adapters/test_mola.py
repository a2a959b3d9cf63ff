"""MoLA: experts by depth, gates that sum to one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gpu_jobs.engine import adapters
from gpu_jobs.engine.adapters import host
from gpu_jobs.errors import MethodError
from gpu_jobs.methods.adapters import mola
from tests.gpu_jobs.engine.test_adapters import build, outputs
from tests.gpu_jobs.methods.adapters.layers import finetune, knobs_of, planned_and_built, shaken
from tests.gpu_jobs.training import Bench, Outcome


def adapted(**knobs: Any) -> Any:
    return adapters.attach(knobs_of("mola", **knobs), build("llama"), task="causal_lm", seed=0)


@pytest.mark.parametrize("blocks", [4, 32])
def test_a_quarter_of_the_blocks_has_each_number_of_experts(blocks: int) -> None:
    counts = [mola.experts(knobs_of("mola"), block, blocks) for block in range(blocks)]
    assert counts == [number for number in (2, 4, 6, 8) for _ in range(blocks // 4)]


def test_it_counts_experts_and_router() -> None:
    """2 blocks: the first and third quarter's numbers. 4 layers of 16 x 16 each."""
    planned, built, _ = planned_and_built("llama", "mola", rank=3)
    assert planned == built == 4 * (2 + 6) * (3 * (16 + 16) + 16)


def test_gates_sum_to_one_over_k_experts() -> None:
    layer = host.adapted(adapted(active=2))["model.layers.1.self_attn.q_proj"]
    found = mola.gates(layer.knobs, torch.randn(5, 7, 16), layer.named_values)
    torch.testing.assert_close(found.sum(-1), torch.ones(5, 7))
    assert (found > 0).sum(-1).eq(2).all()


def test_the_layer_is_the_sum_of_chosen_experts() -> None:
    layer = shaken(host.adapted(adapted(rank=3, alpha=6, active=2))["model.layers.1.self_attn.q_proj"])
    x, v = torch.randn(16), layer.values
    weights = torch.softmax(v.R @ x, 0)
    first, second = weights.argsort(descending=True)[:2].tolist()
    expected = layer.base(x)
    for expert in (first, second):
        gate = weights[expert] / (weights[first] + weights[second])
        part = slice(3 * expert, 3 * expert + 3)
        expected = expected + 6 / 3 * gate * v.B[:, part] @ v.A[part] @ x
    torch.testing.assert_close(layer.eval()(x), expected, atol=1e-5, rtol=1e-5)


def test_one_expert_is_lora_and_it_begins_at_the_base() -> None:
    model = adapted(lowest=1, upper=1, rank=2, alpha=4)
    assert outputs(model).equal(outputs(build("llama")))
    layer, x = shaken(next(iter(host.adapted(model).values()))), torch.randn(3, 16)
    torch.testing.assert_close(layer(x), layer.base(x) + 2 * x @ (layer.values.B @ layer.values.A).T)


def test_it_can_not_be_merged_and_tells_its_load(bench: Bench, base: Outcome) -> None:
    with pytest.raises(MethodError, match="'mola' can't be merged"):
        adapters.merge(adapted())
    run = finetune(bench, base.work_dir / "model", {"method": {"name": "mola"}})
    load = run.series("load/highest")
    assert list(load) == list(range(1, 9))
    assert all(1 / 2 <= share <= 1 for share in load.values())  # with 2 experts of 2 for each token: one half
