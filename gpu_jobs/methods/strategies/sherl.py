"""SHERL: merges what the early layers say, without saying it twice, and lets the last ones go on from there.

    f_l = D_l h_l                                        h_0 ... h_K, before the late blocks, from d to m = d / factor
    r_l = sum_k relu(cos(f_l, f_k))                      how much of layer l others say, too
    c = L1norm_l(relu(w^T (f_l * f_K)) / r_l)            l < K
    out = Up(relu(f_K + sum_l c_l f_l)) + tanh(g / 0.1) h_K      g = 0 at first; what the late blocks are given

(Diao et al. 2024, "SHERL: Synthesizing High Accuracy and Efficient Memory for Resource-Limited Transfer Learning";
weights and gate from the authors' released code, which differs from task to task. Ours: all of it is done token by
token, so that it serves decoders, and D_l is one linear layer.) The early blocks are frozen and keep nothing for the
backward; the gradient goes through the late ones, frozen, too, to this network. With the gate closed training does not
begin at the base. The plan's activations are those of a backward through the whole model, an upper bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import contracts, registry
from gpu_jobs.anatomy import Anatomy, block_of
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gpu_jobs.spec import Training

PAPER = "https://arxiv.org/abs/2407.07523"
STARTS_AT_BASE = False
IS_SIDE = True
IS_PARTIAL = True  # of one early layer, the share is 1 or 0 whatever w says
PARALLEL = ("ddp",)  # fsdp shares blocks out, and hooks on the whole would see parts
LR = 1e-3


class Knobs(registry.Knobs):
    name: Literal["sherl"]
    factor: int = Field(4, ge=1, le=64, description="How much narrower than the model the network is.")
    late: int = Field(1, ge=1, le=64, description="Last blocks of the model that go on from its answer.")


def setup(knobs: Knobs, model: Any) -> nn.Module:
    """The network is put beside the early blocks and trained, with a classifier's new head."""
    import sys

    from gpu_jobs.engine.adapters import side

    return side.attach(knobs, sys.modules[__name__], model)  # type: ignore[no-any-return]


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """D_l for each hidden state, the way up, w and the gate; and the head."""
    width, narrow = anatomy.width, max(1, anatomy.width // knobs.factor)
    shapes: Shapes = {"side.parts.gate.weight": (1,)}
    for layer in range(anatomy.blocks + 1 - knobs.late):
        shapes |= {f"side.parts.down.{layer}.weight": (narrow, width), f"side.parts.down.{layer}.bias": (narrow,)}
    shapes |= {"side.parts.up.weight": (width, narrow), "side.parts.up.bias": (width,)}
    shapes |= {"side.parts.trust.weight": (1, narrow), "side.parts.trust.bias": (1,)}
    return shapes | anatomy.head()


def backward(knobs: Knobs, anatomy: Anatomy, trained: Shapes, flops: Callable[[Shapes], int]) -> tuple[float, int]:
    """Through the output layer, the late blocks and the network, down to D_l."""
    first = anatomy.blocks - knobs.late
    inside = {name: block_of(name) for name in anatomy.shapes}
    early = {name: anatomy.shapes[name] for name, block in inside.items() if block is not None and block < first}
    down = {name: shape for name, shape in trained.items() if ".down." in name}
    every = flops(anatomy.shapes | trained)
    return (every - flops(early | down)) / every, flops(trained)


def build(knobs: Knobs, width: int, depth: int) -> nn.Module:
    """The network's parts."""
    import torch
    from torch import nn

    narrow = max(1, width // knobs.factor)
    gate = nn.Module()
    gate.weight = nn.Parameter(torch.zeros(1))
    down = nn.ModuleList(nn.Linear(width, narrow) for _ in range(depth))
    return nn.ModuleDict({"down": down, "up": nn.Linear(narrow, width), "trust": nn.Linear(narrow, 1), "gate": gate})


def answer(knobs: Knobs, parts: Any, hidden: list[Tensor], mask: Any) -> Tensor:
    """(samples, tokens, width)"""
    import torch

    features = torch.stack([down(state) for down, state in zip(parts["down"], hidden, strict=True)])
    last, others = features[-1], features[:-1]
    merged = (shares(parts, others, last) * others).sum(0)
    out: Tensor = parts["up"](torch.relu(last + merged))
    return out + torch.tanh(parts["gate"].weight / 0.1) * hidden[-1]


def shares(parts: Any, others: Tensor, last: Tensor) -> Tensor:
    """(K, samples, tokens, 1): what each layer counts, in sum 1, or 0 where none does"""
    from torch.nn import functional as F

    unit = F.normalize(others, dim=-1)
    redundancy = (unit.movedim(0, -2) @ unit.movedim(0, -1)).relu().sum(-1).movedim(-1, 0)[..., None]
    scores = parts["trust"](others * last).relu() / redundancy.clamp(min=1e-6)
    return scores / (scores.sum(0, keepdim=True) + 1e-8)  # type: ignore[no-any-return]


class Hooks(contracts.Hooks):
    """Nothing but a check."""

    def __init__(self, knobs: Any, model: nn.Module, spec: Training) -> None:
        super().__init__(knobs, model, spec)
        if spec.gradient_checkpointing:
            raise MethodError("gradient_checkpointing must be off for method 'sherl', whose early blocks keep nothing.")
