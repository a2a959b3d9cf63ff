"""The flow of ones through the branches of transformer blocks, with the sizes of the weights: see criteria/synflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gpu_jobs.engine.pruning import walk
from gpu_jobs.engine.pruning.layers import Layer
from gpu_jobs.errors import MethodError


class Names(NamedTuple):
    """The layers of a block. `fused`: one layer makes queries, keys and values."""

    query: str
    key: str
    value: str
    out: str
    into: tuple[str, ...]
    back: str
    fused: bool = False


BLOCKS = {
    "llama": Names("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                   ("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj"),
    "gpt2": Names("attn.c_attn", "attn.c_attn", "attn.c_attn", "attn.c_proj", ("mlp.c_fc",), "mlp.c_proj", True),
    "bert": Names("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
                  ("intermediate.dense",), "output.dense"),
    "vit": Names("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.o_proj",
                 ("mlp.fc1",), "mlp.fc2"),
}  # fmt: skip


TINIEST = torch.finfo(torch.float64).tiny  # a branch through which nothing flows has no logarithm


def saliency(model: Any, layers: Mapping[str, Layer]) -> dict[str, Tensor]:
    """|w| d log R/d|w| of every layer, (out, in) in float64. Raises MethodError for an architecture that is not known.

    R is the product of the flows of all branches, so that every matrix of a branch has scores that sum to 1.
    """
    names, stack = BLOCKS.get(model.config.model_type), walk.stack(model)
    if names is None or stack is None:
        raise MethodError(f"synflow knows no branches of a {model.config.model_type}: it is for {', '.join(BLOCKS)}.")
    sizes = {name: layer.weight.abs().double().requires_grad_(True) for name, layer in layers.items()}
    with torch.enable_grad():
        flows = [_flows(model, names, f"{stack[0]}.{number}", sizes) for number in range(len(stack[1]))]
        logarithm = torch.cat(flows).clamp(min=TINIEST).log().sum()
        parts = torch.autograd.grad(logarithm, list(sizes.values()), allow_unused=True)
    found = zip(sizes.items(), parts, strict=True)
    return {name: size.detach() * (0 if part is None else part) for (name, size), part in found}


def _flows(model: Any, names: Names, at: str, sizes: Mapping[str, Tensor]) -> Tensor:
    """R of one block's three branches, (3,); a layer that may not be pruned stands as it is."""

    def size(name: str) -> Tensor:
        found = sizes.get(f"{at}.{name}")
        return _fixed(model, f"{at}.{name}") if found is None else found

    query, key, value = (size(name).sum(1) for name in (names.query, names.key, names.value))
    if names.fused:
        query, key, value = query.chunk(3)
    heads = int(model.config.num_attention_heads)
    into = torch.stack([size(name).sum(1) for name in names.into]).prod(0)
    scores = _per_head(query, heads) * _per_head(key, heads, like=query)
    values = size(names.out).sum(0) @ _expanded(value, query, heads)
    return torch.stack([scores.sum(), values, size(names.back).sum(0) @ into])


def _per_head(rows: Tensor, heads: int, like: Tensor | None = None) -> Tensor:
    return (rows if like is None else _expanded(rows, like, heads)).view(heads, -1)


def _expanded(rows: Tensor, like: Tensor, heads: int) -> Tensor:
    """Rows of key/value heads, once for each query head that uses them."""
    head = len(like) // heads
    return rows.view(-1, head).repeat_interleave(len(like) // len(rows), dim=0).flatten()


def _fixed(model: Any, name: str) -> Tensor:
    return Layer(name, model.get_submodule(name), 0.0, 0).weight.abs().double()
