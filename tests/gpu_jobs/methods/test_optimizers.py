"""What all optimizers share: they go downhill, leave the right weights to AdamW, and are one to the loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gpu_jobs import registry, shapes
from gpu_jobs.engine.optimizers import Joined
from tests.gpu_jobs.methods import optimizing

NAMES = sorted(registry.methods("optimizers"))
BESIDE_ADAMW = [name for name in NAMES if "rest_factor" in registry.methods("optimizers")[name].knobs.model_fields]


class Model(nn.Module):
    """One weight of every sort."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed_tokens = nn.Embedding(7, 4)
        self.inner = nn.Linear(4, 6)
        self.conv = nn.Conv2d(2, 3, 2)
        self.norm = nn.LayerNorm(6)
        self.lm_head = nn.Linear(6, 7, bias=False)

    def distance(self) -> Tensor:
        """Half the square of how far all values are from 0.5."""
        return sum(((value - 0.5) ** 2).sum() for value in self.parameters()) / 2  # type: ignore[return-value]


@pytest.mark.parametrize("name", NAMES)
def test_it_converges_on_a_quadratic(name: str) -> None:
    model, begun = Model(), float(Model().distance().detach())
    optimizer = optimizing.build(name, model, lr=0.05, weight_decay=0.0)
    for step in range(400):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 - step / 400)
        optimizer.zero_grad()
        model.distance().backward()
        optimizer.step()
    assert float(model.distance().detach()) < 1e-3 * begun


@pytest.mark.parametrize("name", BESIDE_ADAMW)
def test_adamw_has_all_but_the_hidden_matrices(name: str) -> None:
    model, alone = Model(), Model()
    optimizer = optimizing.build(name, model, lr=0.1, rest_factor=0.5, weight_decay=0.3, rest_beta2=0.9)
    reference = optimizing.build("adamw", alone, lr=0.05, weight_decay=0.3, beta2=0.9)
    for _ in range(3):
        for one, rule in ((model, optimizer), (alone, reference)):
            for group in rule.param_groups:
                group["lr"] = (0.1 if rule is optimizer else 0.05) * group.get("lr_factor", 1.0)
            rule.zero_grad()
            one.distance().backward()
            rule.step()
    same = {key for key, value in model.named_parameters() if value.equal(alone.get_parameter(key))}
    assert {key for key, _ in model.named_parameters()} - same == {"inner.weight"}


@pytest.mark.parametrize("name", BESIDE_ADAMW)
def test_without_a_rest_or_without_matrices_there_is_one_rule(name: str) -> None:
    assert not isinstance(optimizing.build(name, nn.Linear(3, 2, bias=False)), Joined)
    assert type(optimizing.build(name, nn.LayerNorm(3))) is torch.optim.AdamW


def test_hidden_matrices_are_told_by_name_and_shape() -> None:
    hidden = {
        "model.layers.0.mlp.up_proj.weight": (8, 4),
        "transformer.h.0.attn.c_attn.weight": (4, 12),
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight": (2, 4),
        "bert.pooler.dense.weight": (4, 4),
    }
    others = {
        "model.embed_tokens.weight": (9, 4),
        "transformer.wte.weight": (9, 4),
        "transformer.wpe.weight": (9, 4),
        "bert.embeddings.word_embeddings.weight": (9, 4),
        "lm_head.weight": (9, 4),
        "base_model.model.score.modules_to_save.default.weight": (2, 4),
        "classifier.weight": (2, 4),
        "model.layers.0.mlp.up_proj.bias": (8,),
        "model.layers.0.mlp.experts.down_proj": (2, 8, 4),
    }
    assert [name for name, shape in {**hidden, **others}.items() if shapes.is_hidden_matrix(name, shape)] == [*hidden]


def test_joined_optimizers_share_groups_and_state_after_loading_too() -> None:
    layer = nn.Linear(3, 2)
    parts = torch.optim.SGD([layer.weight], lr=1.0, momentum=0.5), torch.optim.AdamW([layer.bias], lr=1.0)
    joined = Joined(*parts)
    layer(torch.ones(1, 3)).sum().backward()
    joined.step()
    joined.load_state_dict(joined.state_dict())
    assert [len(part.param_groups) for part in parts] == [1, 1]
    for part, group in zip(parts, joined.param_groups, strict=True):
        assert part.param_groups[0] is group
        assert part.state is joined.state
    joined.param_groups[0]["lr"] = joined.param_groups[1]["lr"] = 0.0
    before = [value.detach().clone() for value in layer.parameters()]
    joined.step()
    assert all(value.equal(old) for value, old in zip(layer.parameters(), before, strict=True))
