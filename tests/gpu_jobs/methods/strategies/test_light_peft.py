"""Light-PEFT: what matters least goes early, and the model that comes out is really smaller."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM

from gpu_jobs import spec as specs
from gpu_jobs.engine.job import prepare
from gpu_jobs.engine.ranks import ALONE
from gpu_jobs.errors import MethodError
from tests.gpu_jobs.methods.architectures.small import source
from tests.gpu_jobs.methods.strategies import jobs
from tests.gpu_jobs.training import TINY, Bench

LIGHT = {"name": "light_peft", "heads": 0.5, "ffn": 0.25, "modules": 0.5, "ranks": 0.75, "estimate": 0.03}
FAST = {"name": "adamw", "lr": 1e-2}
IDS = torch.arange(32).reshape(2, 16)


def ready(bench: Bench, **changes: Any) -> Any:
    return jobs.job(bench, LIGHT, **{"optimizer": FAST} | changes)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=IDS).logits
    return found


def test_it_prunes_after_the_estimation_and_the_ratios_hold(bench: Bench) -> None:
    """Of 28 layers 14 keep an update, each of which keeps 2 of 8 ranks."""
    job = ready(bench)
    hooks = job.hooks
    ffn, whole = job.bare.config.intermediate_size, hooks.values()
    for number in range(5):
        assert hooks.is_pruned == (number > 3)  # 0.03 of 100 steps: before the fourth, which has number 3
        jobs.step(job, number)
        if number < 3:
            assert hooks.values() == whole
    assert (hooks.live.sum(1) == 0).sum() == 14 and (hooks.live.sum(1) == 2).sum() == 14
    assert all(int(mask.sum()) == ffn - round(0.25 * ffn) for mask in hooks.masks()["ffn_mask"])
    assert all(int(mask.sum()) == 1 for mask in hooks.masks()["head_mask"])
    expected = 0
    for live, (a, b) in zip(hooks.live, hooks.factors(), strict=True):
        assert not a[~live].any() and not b[:, ~live].any()
        expected += int(live.sum()) * (a.shape[1] + b.shape[0])
        for value, axis in ((a, 0), (b, 1)):
            for state in job.optimizer.state[value].values():
                assert not state.ndim or not state.index_select(axis, (~live).nonzero()[:, 0]).any()
    assert hooks.readings()["active/values"] == expected


def test_the_cut_model_computes_what_the_masked_one_did(bench: Bench) -> None:
    job = ready(bench)
    for number in range(6):
        jobs.step(job, number)
    masked, total = logits(job.bare), sum(value.numel() for value in job.bare.get_base_model().parameters())
    started = job.facts["parameters"]["total"]
    job.hooks.finish()
    torch.testing.assert_close(logits(job.bare), masked, atol=1e-5, rtol=1e-5)
    config = job.bare.config
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (1, 1, 8)
    left = sum(value.numel() for value in job.bare.parameters())
    assert job.facts["parameters"]["total"] == left < started == total
    assert not any("mask" in name or "lora" in name for name in job.bare.state_dict())


def test_the_masks_loss_is_the_objective_s_and_their_length(bench: Bench) -> None:
    """With two weights of the length the gradients of the masks differ by the difference times their sign."""
    gradients = []
    for l1 in (0.0, 0.5):
        job = jobs.job(bench, {**LIGHT, "l1": l1})
        kept: dict[str, torch.Tensor] = {}
        update = job.hooks.update

        def noted(step: Any, job: Any = job, kept: Any = kept, update: Any = update) -> Any:
            kept |= {name: value.grad.clone() for name, value in job.bare.named_parameters() if value.requires_grad}
            return update(step)

        job.hooks.update = noted  # type: ignore[method-assign]
        jobs.step(job)
        gradients.append(kept)
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name] - value, torch.full_like(value, 0.5 * ("mask" in name)))


def test_units_with_the_smallest_masks_go(bench: Bench) -> None:
    job = ready(bench)
    jobs.step(job)
    with torch.no_grad():
        for mask in job.hooks.masks()["ffn_mask"]:
            mask.copy_(torch.linspace(-1, 1, len(mask)))
    size = [mask.detach().abs() for mask in job.hooks.masks()["ffn_mask"]]
    job.hooks.prune()
    for before, mask in zip(size, job.hooks.masks()["ffn_mask"], strict=True):
        assert before[mask == 0].max() <= before[mask == 1].min()


def test_updates_that_do_least_and_their_least_ranks_go(bench: Bench) -> None:
    job = ready(bench)
    jobs.step(job)
    hooks = job.hooks
    hooks.ratios.copy_(torch.arange(len(hooks.ratios)))
    hooks.moments.copy_(torch.arange(8).flip(0).expand_as(hooks.moments))
    hooks.prune()
    assert not hooks.live[:14].any()
    assert hooks.live[14:].equal(torch.tensor([True, True] + 6 * [False]).expand(14, 8))


def test_a_module_s_ratio_is_the_length_of_its_update_beside_its_output(bench: Bench) -> None:
    """Where B A = c W and the scale is s, every ratio is s c; here of the first layer, for one forward."""
    job = ready(bench)
    hooks, layer = job.hooks, next(iter(job.hooks.updates.values()))
    a, b = hooks.factors()[0]
    weight = layer.base_layer.weight.detach()
    with torch.no_grad():
        u, s, v = torch.linalg.svd(weight)
        weight.copy_(u[:, :8] @ torch.diag(s[:8]) @ v[:8])
        a.copy_(torch.diag(s[:8]) @ v[:8])
        b.copy_(0.25 * u[:, :8])
        job.bare.train()(input_ids=IDS)
    assert float(hooks.ratios[0]) == pytest.approx(0.25 * layer.scaling["default"], rel=1e-4)


def test_the_stored_model_is_plain_and_computes_the_quality_that_was_told(bench: Bench) -> None:
    run = bench.run({"kind": "finetune", "method": {**LIGHT, "estimate": 0.5}, "optimizer": FAST})
    model = AutoModelForCausalLM.from_pretrained(run.work_dir / "model")
    values = run.last.values
    assert values["parameters"]["total"] == sum(value.numel() for value in model.parameters())
    assert values["parameters"]["total"] < run.facts["parameters"]["total"]
    assert run.series("active/values")[8] == values["parameters"]["trainable"] < run.series("active/values")[1]
    judged = bench.run(
        {"kind": "finetune", "model": {"source": "run", "run": 1}, "method": {"name": "full"}, "steps": 1},
        inputs={"run:1": run.work_dir / "model"},
    )
    assert judged.last.values["before"] == pytest.approx(values["quality"], rel=1e-6)


@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_other_architectures_lose_channels_and_keep_their_heads(bench: Bench, architecture: str) -> None:
    changes: dict[str, Any] = {"model": {"architecture": architecture}}
    changes |= {"task": "masked_lm"} if architecture == "bert" else {}
    job = ready(bench, **changes)
    for number in range(4):
        jobs.step(job, number)
    masked = logits(job.bare)
    job.hooks.finish()
    torch.testing.assert_close(logits(job.bare), masked, atol=1e-5, rtol=1e-5)
    width = job.bare.config.n_inner if architecture == "gpt2" else job.bare.config.intermediate_size
    assert width == 48 and job.bare.config.num_attention_heads == 2


def test_another_adapter_and_another_architecture_are_refused(bench: Bench) -> None:
    with pytest.raises(ValidationError, match="must be lora"):
        specs.parse({**TINY, "kind": "finetune", "method": {**LIGHT, "adapter": {"name": "ia3"}}})
    shared: Any = specs.parse({**TINY, "kind": "finetune", "method": LIGHT, "model": source("mor")})
    with pytest.raises(MethodError, match="is for llama"):
        prepare(shared, bench.context(), ALONE)
