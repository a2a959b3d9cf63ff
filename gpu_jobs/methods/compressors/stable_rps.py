"""STABLE-RPS: all layers look their weights up in one small memory, by a random map.

    all weights, flat, cut into blocks of m;  block b is s_l memory[p(b)],  p a random fold onto the places
    memory = least squares over the blocks that share a place;   its gradient is divided by the number of its uses

s_l is the standard deviation of the layer's weights. Every place serves equally many blocks; as many places as blocks
give the model back. (Desai and Shrivastava 2023, "In defense of parameter sharing for model-compression": blocks, a
seed instead of stored indices, and scaled gradients. There a model is trained from scratch in this form; starting from
a trained one by least squares is ours, and unchecked against the paper are the exact fold and that all places are used
alike.) Only training makes up for it: give it a `retrain`. A forward makes each weight anew, so FLOPs and time do not
fall.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy, Targets
from gpu_jobs.compressible import Done, layers_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from gpu_jobs.engine.compressed.folded import Map
    from gpu_jobs.engine.pruning.layers import Layer
    from gpu_jobs.engine.shrinking import Subject

PAPER = "https://arxiv.org/abs/2310.11611"
RETRAINS = "weights"


class Knobs(registry.Knobs):
    name: Literal["stable_rps"]
    ratio: float = Field(4.0, ge=1, le=10_000, description="Weights for each place of the memory.")
    block: int = Field(32, ge=1, le=4096, description="Neighbouring weights that stay together, m.")
    targets: Targets = Field(
        "all", description="Which layers: attention, mlp, all, or names of modules (q_proj, v_proj)."
    )


def check(knobs: Knobs, anatomy: Anatomy) -> None:
    """Raises MethodError where no layer is meant."""
    layers_of(knobs.targets, anatomy)


def compress(knobs: Knobs, subject: Subject) -> Done:
    """One memory for all layers."""
    from gpu_jobs.engine.compressed import folded, replace
    from gpu_jobs.engine.pruning import layers

    found = layers.find(subject.bare, knobs.targets, subject.spec.seed)
    firsts, total = {}, 0
    for name, layer in found.items():
        firsts[name] = total
        total += folded.blocks((layer.weight.shape[0], layer.weight.shape[1]), knobs.block)
    where = folded.Map(subject.spec.seed, total, max(1, round(total / knobs.ratio)))
    memory, scales = fitted(found, firsts, where, knobs.block)
    done = {}
    for name, layer in found.items():
        shape = (layer.weight.shape[0], layer.weight.shape[1])
        made = folded.Folded(
            shape, where, firsts[name], memory, scales[name], getattr(layer.module, "bias", None),
            is_transposed=layer.is_transposed,
        )  # fmt: skip
        error, whole = float((made.rows - layer.weight).norm()), float(layer.weight.norm())
        done[name] = {"error": error, "relative_error": error / whole if whole else 0.0, "values": layer.weight.numel()}
        replace(subject.bare, name, made)
    return Done(done, {"memory_values": memory.numel()})


def fitted(
    found: Mapping[str, Layer], firsts: Mapping[str, int], where: Map, block: int
) -> tuple[Any, dict[str, Tensor]]:
    """The memory that is nearest to all layers' weights, and the layers' scales."""
    import torch
    from torch.nn import functional as F

    device = next(iter(found.values())).weight.device
    sums, squares = torch.zeros(where.places, block, device=device), torch.zeros(where.places, device=device)
    scales = {}
    for name, layer in found.items():
        weight = layer.weight
        spread = weight.std()
        scales[name] = scale = torch.where(spread > 0, spread, torch.ones_like(spread))
        parts = F.pad(weight.flatten(), (0, -weight.numel() % block)).view(-1, block)
        places = where.of(firsts[name], len(parts)).to(device)
        sums.index_add_(0, places, parts * scale)
        squares.index_add_(0, places, scale.square().expand(len(parts)))
    memory = torch.nn.Parameter(sums / squares.clamp(min=1e-30)[:, None], requires_grad=False)
    return memory, scales
