"""Mixture-of-Recursions: what is computed for whom, against plain loops over the same blocks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gpu_jobs import cost, shapes, spec
from gpu_jobs.engine.architectures.blocks import Attending
from gpu_jobs.methods.architectures.mor import active, capacities
from tests.gpu_jobs.methods.architectures.small import IDS, build, config, disturb, inputs, logits, readings, source
from tests.gpu_jobs.training import TINY, Bench, same


def mor(**knobs: Any) -> Any:
    model = build("mor", **knobs)
    disturb(model)
    return model


def parts(model: Any, ids: Tensor = IDS) -> tuple[Any, Tensor, Attending]:
    """The stack, what goes into it, and what attention is told."""
    trunk = model.model
    x = trunk.embed_tokens(ids)
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    return trunk.stack, x, Attending(*trunk.rotary_emb(x, positions), positions)


def once(blocks: Any, x: Tensor, attending: Attending) -> Tensor:
    for block in blocks:
        x = block(x, **attending.arguments())
    return x


def head(model: Any, x: Tensor) -> Tensor:
    found: Tensor = model.lm_head(model.model.norm(x))
    return found


@torch.no_grad()
@pytest.mark.parametrize("sharing", ["cycle", "middle_cycle"])
def test_without_a_router_it_is_a_plain_recursion(sharing: str) -> None:
    model = mor(router="none", sharing=sharing)
    stack, x, attending = parts(model)
    x = once(stack.first, x, attending)
    for _ in range(3):
        x = once(stack.cycle, x, attending)
    expected = head(model, once(stack.last, x, attending))
    assert torch.allclose(model(input_ids=IDS).logits, expected, atol=1e-5)
    assert torch.allclose(logits(model, input_ids=IDS), expected, atol=1e-5)


@torch.no_grad()
def test_one_recursion_without_a_router_is_the_llama_of_transformers() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    model = mor(router="none", recursions=1, sharing="cycle")
    fields = {key: value for key, value in config("mor").items() if key in LlamaConfig().to_dict()} | {
        "pad_token_id": 257
    }
    llama = LlamaForCausalLM(LlamaConfig(**fields))
    state = {key.replace(".stack.cycle.", ".layers."): value for key, value in model.state_dict().items()}
    llama.load_state_dict({key: value for key, value in state.items() if "seen" not in key})
    assert torch.allclose(logits(model, input_ids=IDS), logits(llama, input_ids=IDS), atol=1e-5)


@torch.no_grad()
def test_with_full_capacity_and_a_gate_of_one_every_recursion_adds_the_stack() -> None:
    """alpha sigmoid(w . h) is 1 for alpha 2 and w = 0."""
    model = mor(capacity=1, alpha=2, sharing="cycle")
    for router in model.model.stack.routers:
        router.weight.zero_()
    stack, x, attending = parts(model)
    for _ in range(3):
        x = x + once(stack.cycle, x, attending)
    for found in (model.train()(input_ids=IDS).logits, logits(model, input_ids=IDS)):
        assert torch.allclose(found, head(model, x), atol=1e-5)


@torch.no_grad()
def test_the_highest_of_those_still_in_go_on_and_see_only_each_other() -> None:
    """The same by masks over all tokens, one sample at a time."""
    model = mor(sharing="cycle", alpha=0.5)
    stack, start, whole = parts(model)
    expected = []
    for sample in range(2):
        x, inside = start[sample : sample + 1], torch.ones(1, 20, dtype=torch.bool)
        attending = Attending(*(None if value is None else value[sample : sample + 1] for value in whole))  # type: ignore[arg-type]
        for number, kept in enumerate((20, 13, 6)):
            scores = stack.routers[number](x).squeeze(-1).masked_fill(~inside, -math.inf)
            threshold = scores.sort(descending=True).values[0, kept - 1]
            inside = scores >= threshold
            y = x
            for block in stack.cycle:
                y = block(y, **attending.arguments(inside))
            x = torch.where(inside[..., None], x + 0.5 * stack.routers[number](x).sigmoid() * y, x)
        expected.append(head(model, x))
    assert torch.allclose(model(input_ids=IDS).logits, torch.cat(expected), atol=1e-5)


@pytest.mark.parametrize("length", [3, 20, 32])
def test_tokens_of_each_recursion_are_exact_and_shrink(length: int) -> None:
    model = mor(recursions=4, capacity=0.25)
    model(input_ids=torch.arange(3 * length).reshape(3, length) % 258)
    told = readings(model)
    kept = [max(1, math.floor(share * length)) for share in (1, 0.75, 0.5, 0.25)]
    assert [active(share, length) for share in capacities(config("mor", recursions=4, capacity=0.25))] == kept
    assert [told[f"router/load_{number}"] for number in range(4)] == pytest.approx([k / length for k in kept])
    assert told["router/depth"] == pytest.approx(sum(kept) / length)
    assert kept == sorted(kept, reverse=True)


def test_the_capacity_falls_along_a_cosine_and_what_was_seen_is_kept(bench: Bench) -> None:
    model = mor(capacity=0.5, recursions=2, capacity_warmup=4)
    shares = []
    for _ in range(6):
        model(input_ids=IDS)
        shares.append(readings(model)["router/load_1"])
    at = [0.5 + 0.5 * 0.5 * (1 + math.cos(math.pi * min(1, step / 4))) for step in range(1, 7)]
    assert shares == pytest.approx([math.floor(share * 20 + 1e-9) / 20 for share in at])
    run = bench.run({"model": source("mor", capacity_warmup=6), "steps": 4})
    assert int(run.weights()["model.stack.seen"]) == 4


def test_a_run_stopped_while_it_warms_up_goes_on_bit_for_bit(bench: Bench) -> None:
    from tests.gpu_jobs.training import after

    changes = {"model": source("mor", capacity_warmup=6), "steps": 5}
    whole, stopped = bench.run(changes), bench.run(changes, should_stop=after(2))
    resumed = bench.run(changes, resume_from=stopped.work_dir / "checkpoints/step-2")
    assert same(resumed.weights(), whole.weights())


@torch.no_grad()
def test_training_looks_ahead_and_evaluation_does_not() -> None:
    """Why a router must learn to decide alone: in training a later token can take an earlier one's place."""
    model, changed = mor(), IDS.clone()
    changed[:, 10:] = 99
    ahead = [model.train()(input_ids=ids).logits[:, :10] for ids in (IDS, changed)]
    alone = [logits(model, input_ids=ids)[:, :10] for ids in (IDS, changed)]
    assert not torch.allclose(*ahead, atol=1e-3)
    assert torch.allclose(*alone, atol=1e-5)


def test_evaluation_computes_what_training_does_when_both_choose_the_same() -> None:
    """A router whose scores are far from 0 on the side of the choice."""
    model = mor(sharing="cycle", recursions=2, capacity=0.5)
    chosen = torch.zeros(2, 20, dtype=torch.bool).scatter(1, torch.rand(2, 20).topk(10, 1).indices, True)
    sign = torch.where(chosen, 4.0, -4.0)[..., None]

    class Told(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return sign

    model.model.stack.routers[1] = Told()
    with torch.no_grad():
        trained = model.train()(input_ids=IDS).logits
    assert torch.allclose(trained, logits(model, input_ids=IDS), atol=1e-5)


@pytest.mark.parametrize("auxiliary", ["router_loss", "aux_router"])
def test_the_auxiliary_loss_teaches_to_tell_who_is_in(auxiliary: str) -> None:
    """In training alone; the second router leaves everything else as it is."""
    model = mor(auxiliary=auxiliary, auxiliary_weight=1.0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-2)
    first = last = model(input_ids=IDS).auxiliary_loss
    for _ in range(200):
        optimizer.zero_grad()
        last = model(input_ids=IDS).auxiliary_loss
        last.backward()
        optimizer.step()
    assert float(last.detach()) < 0.3 * float(first.detach())
    moved = {name for name, value in model.named_parameters() if value.grad is not None and value.grad.any()}
    if auxiliary == "aux_router":
        assert {name.split(".")[2] for name in moved} == {"samplers"}
    assert model.eval()(input_ids=IDS).auxiliary_loss is None


def test_the_squared_scores_are_added_with_their_weight() -> None:
    plain, weighted = (mor(z_loss=weight, auxiliary_weight=0) for weight in (0, 0.5))
    stack, x, attending = parts(weighted)
    scores = stack.routers[0](once(stack.first, x, attending))
    one = mor(z_loss=0.5, auxiliary_weight=0, recursions=1)
    one.load_state_dict({key: value for key, value in weighted.state_dict().items() if key in one.state_dict()})
    assert float(plain(input_ids=IDS).auxiliary_loss) == 0
    assert float(one(input_ids=IDS).auxiliary_loss) == pytest.approx(0.5 * float(scores.square().mean()), rel=1e-5)


@torch.no_grad()
def test_token_choice_fixes_each_depth_once() -> None:
    """The equation, token by token: those still in, a gate for each recursion, and the start in the last one."""
    model = mor(router="token_choice", sharing="cycle", alpha=0.7)
    stack, start, attending = parts(model)
    gates = stack.routers[0](start).softmax(-1)
    depth, x = gates.argmax(-1) + 1, start
    for number in range(3):
        y = x
        for block in stack.cycle:
            y = block(y, **attending.arguments(depth > number))
        y = 0.7 * gates[..., number, None] * y
        y = y + start * (depth == number + 1)[..., None]
        x = torch.where((depth > number)[..., None], y, x)
    assert depth.unique().numel() > 1
    output = model(input_ids=IDS)
    assert torch.allclose(output.logits, head(model, x), atol=1e-5)
    used = F.one_hot(depth - 1, 3).double().mean((0, 1))
    balance = 3 * float((used * gates.double().mean((0, 1))).sum())
    assert float(output.auxiliary_loss) == pytest.approx(0.1 * balance, rel=1e-5)
    assert readings(model)["router/depth"] == pytest.approx(float(depth.double().mean()))


@pytest.mark.parametrize("knobs", [{"router": "token_choice"}, {"router": "none"}, {"auxiliary": "aux_router"},
                                   {"sharing": "cycle"}, {"recursions": 1}])  # fmt: skip
def test_every_variant_is_counted(knobs: dict[str, Any]) -> None:
    built = {key: tuple(value.shape) for key, value in build("mor", **knobs).named_parameters()}
    assert shapes.parameters(config("mor", **knobs), "causal_lm") == built


def test_three_recursions_have_a_third_of_the_blocks_of_their_depth() -> None:
    """Unique blocks: layers + 2, for a depth of 3 layers + 2."""
    found = shapes.parameters(config("mor", layers=4, recursions=3), "causal_lm")
    assert found is not None
    assert len({name.split(".self_attn")[0] for name in found if "q_proj" in name}) == 4 + 2
    again = shapes.parameters(config("mor", layers=4, recursions=6), "causal_lm")
    assert again is not None
    assert shapes.count(again) - shapes.count(found) == 3 * 32  # routers


def test_recursions_cost_what_their_tokens_cost() -> None:
    """6 x weights x tokens, each block for its own: 32 + 21 + 10 tokens in the shared ones, 32 in the two others."""
    length = 32
    plan = cost.plan(spec.parse({**TINY, "model": source("mor"), "sequence_length": length}))
    block = 4 * 32 * 32 + 3 * 32 * 88
    tokens, candidates = 32 + 21 + 10, 32 + 32 + 21
    matrices = 2 * block * tokens + 2 * block * 32 + 258 * 32 * 32 + 32 * candidates
    attention = 12 * 32 * (2 * (32**2 + 21**2 + 10**2) + 2 * 32**2)
    assert plan.flops["per_step"] == pytest.approx(4 * (6 * matrices + attention), rel=1e-6)


def test_padding_is_chosen_last() -> None:
    model = build("mor", "sequence_classification")
    padded = torch.nn.functional.pad(inputs("causal_lm", length=10)["input_ids"], (0, 10), value=257)
    seen: list[Tensor] = []
    for block in model.model.stack.cycle[:1]:
        block.register_forward_pre_hook(
            lambda _, args, options: seen.append(options["position_embeddings"][0]), with_kwargs=True
        )
    model(input_ids=padded, attention_mask=(padded != 257).long())
    real = model.model.rotary_emb(torch.zeros(1), torch.arange(10)[None])[0][0]  # cosines of the real positions
    for row in seen[2]:  # the last recursion works on 6 of the 20
        assert len(row) == 6
        assert all(any(torch.allclose(each, other) for other in real) for each in row)
