"""FoldGPT: blocks that change little go, and neighbours among the rest share their weights.

    importance of a block = 1 - cosine(what it is given, what it puts out), the mean over the calibration's tokens
    the least important `drop` of the blocks go;  of every `group` of the rest, all use the matrices of the first

Layer norms stay each block's own. Shared tensors are stored once; FLOPs fall with the blocks that go alone. (Liu et al.
2024. There learned gates rank the blocks, and a distillation of the last layers follows; the cosine in their place, and
that a group takes its first block's matrices, are ours, unchecked against the paper.) Only training makes up for it:
give it a `retrain`, whose objective may be `distillation`: its teacher is the model as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from gpu_jobs import registry
from gpu_jobs.anatomy import Anatomy
from gpu_jobs.compressible import Done
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import architecture

if TYPE_CHECKING:
    from torch import nn

    from gpu_jobs.engine.shrinking import Subject

PAPER = "https://arxiv.org/abs/2407.00928"
RETRAINS = "weights"
NEEDS = "outputs"


class Knobs(registry.Knobs):
    name: Literal["foldgpt"]
    drop: float = Field(0.25, ge=0, lt=1, description="Share of the blocks that go.")
    group: int = Field(2, ge=1, le=64, description="Neighbouring blocks that share their matrices; 1: none do.")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.drop == 0 and self.group == 1:
            raise ValueError("group must be 2 or more where drop is 0: nothing would change")
        return self


def check(knobs: Knobs, anatomy: Anatomy) -> None:
    """Raises MethodError for models without a stack of blocks, or with too few."""
    kind, blocks = anatomy.config["model_type"], anatomy.blocks
    if architecture(anatomy.config):
        raise MethodError(f"a {kind} has no stack of blocks of its own weights: choose another method.", "method")
    if round(knobs.drop * blocks) >= blocks:
        raise MethodError(f"method.drop {knobs.drop:g} leaves none of {blocks} blocks: lower it.", "method.drop")
    if round(knobs.drop * blocks) == 0 and knobs.group == 1:
        raise MethodError(
            f"method.drop {knobs.drop:g} takes none of {blocks} blocks, and group 1 shares none: raise one of them.",
            "method.drop",
        )


def compress(knobs: Knobs, subject: Subject) -> Done:
    """Ranks, drops and shares."""
    import torch
    from torch.nn import functional as F

    from gpu_jobs.engine.pruning import structured, walk
    from gpu_jobs.engine.shrinking import Change

    importance = []
    for pairs in walk.through(subject.bare, subject.batches(), subject.device):
        ahead, after = (torch.cat(each).float() for each in zip(*pairs, strict=True))
        importance.append(float(1 - F.cosine_similarity(ahead, after, dim=-1).mean()))
    gone = set(sorted(range(len(importance)), key=lambda at: importance[at])[: round(knobs.drop * len(importance))])
    kept = [number for number in range(len(importance)) if number not in gone]
    if gone:
        structured.remove(subject, structured.Units(blocks=kept), Change())
    found = walk.stack(subject.bare)
    assert found is not None
    shared = sum(_share(found[1][at], found[1][at - at % knobs.group]) for at in range(len(kept)) if at % knobs.group)
    layers: dict[str, dict[str, Any]] = {
        f"{found[0]}.{at}": {"was": number, "importance": importance[number], "shares": at - at % knobs.group}
        for at, number in enumerate(kept)
    }
    return Done(layers, {"blocks": {"dropped": sorted(gone), "importance": importance, "shared_values": shared}})


def _share(block: nn.Module, other: nn.Module) -> int:
    """Gives a block the matrices of another, with their biases; returns how many values it then has no more itself."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    saved = 0
    for name, layer in block.named_modules():
        if isinstance(layer, (nn.Linear, Conv1D)):
            source = other.get_submodule(name)
            for part in dict(layer.named_parameters()):
                saved += layer.get_parameter(part).numel()
                layer._parameters[part] = source.get_parameter(part)
    return saved
