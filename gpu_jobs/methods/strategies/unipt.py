"""UniPT: a light network beside the frozen model that weighs and merges its layers.

    f_l = LN(D_l h_l)                               h_0 ... h_L, the model's hidden states, from d to m = d / factor
    a_l = L1norm(relu(f_L f_l^T)) + I,  m_l = a_l f_l            l < L: what the last layer finds in layer l
    c = softmax_l(w^T (mean f_L * mean f_l))                      how far each layer is trusted
    out = Up(relu(f_L + LN(Proj(sum_l c_l m_l))))                in the place of h_L, for the model's own head

(Diao et al. 2024, "UniPT: Universal Parallel Tuning for Transfer Learning with Efficient Parameter and Memory"; the
network of the authors' released code). It was made for encoders. For decoders, ours: a token attends to those up to
itself, and its means are over them, so that no token sees those behind it. `out` replaces h_L, so that training does
not begin at the base. The gradient never enters the model, of which nothing is kept; the plan's activations, those of a
backward through the whole model, are therefore an upper bound, and its FLOPs leave the attention of this network out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor, nn

PAPER = "https://arxiv.org/abs/2308.14316"
STARTS_AT_BASE = False
IS_SIDE = True
PARALLEL = ("ddp",)  # fsdp shares blocks out, and hooks on the whole would see parts
LR = 1e-3


class Knobs(registry.Knobs):
    name: Literal["unipt"]
    factor: int = Field(4, ge=1, le=64, description="How much narrower than the model the network is.")


def setup(knobs: Knobs, model: Any) -> nn.Module:
    """The network is put beside the model and trained, with a classifier's new head."""
    import sys

    from gpu_jobs.engine.adapters import side

    return side.attach(knobs, sys.modules[__name__], model)  # type: ignore[no-any-return]


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """D_l and its norm for each hidden state, the projection and its norm, the way up, and w; and the head."""
    width, narrow = anatomy.width, max(1, anatomy.width // knobs.factor)
    shapes: Shapes = {}
    for layer in range(anatomy.blocks + 1):
        shapes |= _linear(f"side.parts.down.{layer}.0", width, narrow) | _norm(f"side.parts.down.{layer}.1", narrow)
    shapes |= _linear("side.parts.project.0", narrow, narrow) | _norm("side.parts.project.1", narrow)
    shapes |= _linear("side.parts.up", narrow, width) | _linear("side.parts.gate", narrow, 1)
    return shapes | anatomy.head()


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def backward(knobs: Knobs, anatomy: Anatomy, trained: Shapes, flops: Callable[[Shapes], int]) -> tuple[float, int]:
    """Through the output layer and the network, down to D_l."""
    head = {n: s for n, s in (anatomy.shapes | trained).items() if n.startswith(("lm_head", "score", "classifier"))}
    table = {f"{layer.name}.weight": anatomy.shapes[f"{layer.name}.weight"] for layer in anatomy.layers("embedding")}
    inner = {n: s for n, s in trained.items() if n.startswith("side.") and ".down." not in n}
    return flops((head or table) | inner) / flops(anatomy.shapes | trained), flops(trained)


def build(knobs: Knobs, width: int, depth: int) -> nn.Module:
    """The network's parts."""
    from torch import nn

    narrow = max(1, width // knobs.factor)
    down = [nn.Sequential(nn.Linear(width, narrow), nn.LayerNorm(narrow)) for _ in range(depth)]
    project = nn.Sequential(nn.Linear(narrow, narrow), nn.LayerNorm(narrow))
    parts = {"down": nn.ModuleList(down), "project": project, "up": nn.Linear(narrow, width)}
    return nn.ModuleDict({**parts, "gate": nn.Linear(narrow, 1)})


def answer(knobs: Knobs, parts: Any, hidden: list[Tensor], mask: Any) -> Tensor:
    """(samples, tokens, width)"""
    import torch

    features = [down(state) for down, state in zip(parts["down"], hidden, strict=True)]
    last, others = features[-1], features[:-1]
    merged = torch.stack([attend(last, other, mask) for other in others])  # (L, samples, tokens, narrow)
    trust = confidence(parts, features, mask)[..., None]  # (L, samples, tokens or 1, 1)
    out: Tensor = parts["up"](torch.relu(last + parts["project"]((trust * merged).sum(0))))
    return out


def attend(last: Tensor, other: Tensor, mask: Any) -> Tensor:
    """(L1norm(relu(f_L f_l^T)) + I) f_l, over the tokens that are seen"""
    weights = (last @ other.mT).relu() * mask.pairs
    return weights / (weights.sum(-1, keepdim=True) + 1e-8) @ other + other  # type: ignore[no-any-return]


def confidence(parts: Any, features: list[Tensor], mask: Any) -> Tensor:
    """(L, samples, tokens or 1): how far each layer is trusted, in sum 1"""
    import torch

    anchor = mask.mean(features[-1])
    scores = torch.cat([parts["gate"](anchor * mask.mean(other)) for other in features[:-1]], dim=-1)
    return scores.softmax(-1).movedim(-1, 0)
