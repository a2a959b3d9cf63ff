"""NLoRA: factors from a Nystrom approximation of the weight."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.gpu_jobs.methods.adapters.layers import (
    exported,
    finetune,
    merged_distance,
    on,
    planned_and_built,
    shaken,
    trained,
)
from tests.gpu_jobs.training import Bench, Outcome


def of_rank(rank: int, outputs: int = 9, inputs: int = 12) -> nn.Linear:
    torch.manual_seed(0)
    layer = nn.Linear(inputs, outputs)
    layer.weight.data = torch.randn(outputs, rank) @ torch.randn(rank, inputs)
    return layer


@pytest.mark.parametrize("rank", [2, 4])
def test_of_a_weight_of_rank_r_the_approximation_is_the_weight(rank: int) -> None:
    """W[:, :r] pinv(W[:r, :r]) W[:r, :] == W when rank(W) <= r."""
    linear = of_rank(2)
    values = on(linear, "nlora", rank=rank).values
    torch.testing.assert_close(values.B @ values.N @ values.A, linear.weight.data, atol=1e-4, rtol=1e-4)


def test_the_factors_are_parts_of_the_weight() -> None:
    linear = of_rank(9)
    values = on(linear, "nlora", rank=4).values
    assert values.A.equal(linear.weight[:4])
    assert values.B.equal(linear.weight[:, :4])
    torch.testing.assert_close(values.N @ linear.weight[:4, :4], torch.eye(4), atol=1e-4, rtol=1e-4)
    raw = on(linear, "nlora", rank=4, core="raw").values
    assert raw.N.equal(linear.weight[:4, :4])


@pytest.mark.parametrize("core", ["pinv", "raw"])
def test_it_begins_at_the_base_only_where_the_beginning_is_subtracted(core: str) -> None:
    linear, x = of_rank(9), torch.randn(3, 12)
    assert on(linear, "nlora", rank=4, core=core)(x).equal(linear(x))
    added = on(linear, "nlora", rank=4, alpha=8, core=core, residual="none")
    values = added.values
    torch.testing.assert_close(added(x), linear(x) + 2 * x @ (values.B @ values.N @ values.A).T, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(added(x), linear(x), atol=1e-2)


@pytest.mark.parametrize("residual", ["subtract", "none"])
def test_merging_is_exact(residual: str) -> None:
    layer = shaken(on(nn.Linear(12, 9), "nlora", rank=4, residual=residual, core="raw"))
    assert merged_distance(layer, torch.randn(3, 12)) < 1e-5


def test_it_trains_r_times_in_and_out_and_r_squared() -> None:
    assert trained(on(nn.Linear(12, 9), "nlora", rank=4)) == 4 * (9 + 12) + 4**2
    planned, built, _ = planned_and_built("llama", "nlora", rank=4)
    assert planned == built == 2 * 4 * (4 * (16 + 16) + 4**2)


def test_a_rank_beyond_the_weight_is_its_own_size() -> None:
    planned, built, _ = planned_and_built("llama", "nlora", rank=64)
    assert planned == built == 2 * 4 * (16 * 32 + 16**2)


@pytest.mark.parametrize("name", ["nlora", "slora", "inttune", "svfit"])
def test_it_can_be_exported_for_peft(bench: Bench, base: Outcome, name: str) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    plain = base.work_dir / "model"
    run = finetune(bench, plain, {"method": {"name": name, "rank": 4, "targets": "all"}})
    folder = exported(run, plain, "--peft")
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(plain), folder).eval()
    ids = torch.arange(32).reshape(2, 16)
    with torch.no_grad():
        found = loaded(input_ids=ids).logits
        from gpu_jobs.engine import adapters

        ours = adapters.load(run.work_dir / "model", AutoModelForCausalLM.from_pretrained(plain)).eval()
        torch.testing.assert_close(found, ours(input_ids=ids).logits, atol=1e-5, rtol=1e-5)
