"""MoS: LoRA whose matrices are put together from shards of pools that all layers share.

    h = W x + (alpha / r) B A x
    A (r, in): each row l shards of A_pool, one after the other, by index_A; the columns of B (out, r) likewise

(Wang et al. 2024, mixture of shards). Layers of one type (the same name and shape) share two pools of e L l shards, e
being the equivalent rank: what a LoRA of rank e would train in these L layers, though every layer has rank r. Indices
of A and B are drawn apart (pair dissociation), without repetition in a layer as long as its pool lasts (subset
selection), and `private` rows of each layer are shards that no other layer has. The drawn indices are frozen. The B
pool begins at zero, so that training begins at the base model. Unchecked against the paper: the factor alpha / r and
that A begins as in LoRA.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gpu_jobs.anatomy import AdapterKnobs, Anatomy
from gpu_jobs.errors import MethodError
from gpu_jobs.shapes import Shapes

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "https://arxiv.org/abs/2410.00938"
LR = 5e-4
Type = tuple[str, int, int]  # the last part of the name, inputs, outputs


class Knobs(AdapterKnobs):
    name: Literal["mos_shards"]
    equivalent_rank: int = Field(
        2, ge=1, le=256, description="Trains as much as a LoRA of this rank e.", json_schema_extra={"log": True}
    )
    rank: int = Field(8, ge=1, le=1024, description="Rank r of every layer.", json_schema_extra={"log": True})
    shards: int = Field(2, ge=1, le=64, description="Shards l that make a row.")
    private: int = Field(1, ge=0, le=256, description="Rows of a layer that no other layer shares.")
    alpha: float = Field(16.0, gt=0, le=65536, description="The update is scaled by alpha / rank.")


def types(layers: Iterable[Any]) -> dict[Type, list[str]]:
    """The names of the layers of each type."""
    found: dict[Type, list[str]] = {}
    for layer in layers:
        found.setdefault((layer.name.rpartition(".")[2], layer.inputs, layer.outputs), []).append(layer.name)
    return found


def pools(knobs: Knobs, kind: Type, layers: int) -> Shapes:
    """The shapes of a type's two pools. Raises MethodError where the knobs don't fit."""
    name, inputs, outputs = kind
    if inputs % knobs.shards or outputs % knobs.shards:
        raise MethodError(f"method.shards must divide {inputs} and {outputs}, the sizes of {name}: not {knobs.shards}.")
    private, shared = knobs.private, knobs.equivalent_rank - knobs.private
    if private > knobs.rank or shared < (private < knobs.rank):
        raise MethodError(
            f"method.private {private} must not exceed rank {knobs.rank}, and must leave rows to share of the "
            f"equivalent_rank {knobs.equivalent_rank}."
        )
    count = knobs.equivalent_rank * layers * knobs.shards
    return {"A": (count, inputs // knobs.shards), "B": (count, outputs // knobs.shards)}


def sizes(knobs: Knobs, anatomy: Anatomy) -> Shapes:
    """The pools of every type of layer."""
    found: Shapes = {}
    for kind, names in types(anatomy.layers(knobs.targets)).items():
        found |= {f"{kind}.{key}": shape for key, shape in pools(knobs, kind, len(names)).items()}
    return found


def share(knobs: Knobs, bases: Any, generator: Any) -> dict[str, Any]:
    """For every layer its type's pools, and its own indices into them (r, l)."""
    import torch

    from gpu_jobs.engine.adapters.lowrank import kaiming

    found: dict[str, Any] = {}
    for kind, names in types(bases).items():
        shapes = pools(knobs, kind, len(names))
        pool = {"A": kaiming(*shapes["A"], generator=generator), "B": torch.nn.Parameter(torch.zeros(shapes["B"]))}
        for number, name in enumerate(names):
            drawn = {f"index_{key}": draw(knobs, number, len(names), generator) for key in ("A", "B")}
            found[name] = pool | drawn
    return found


def draw(knobs: Knobs, number: int, layers: int, generator: Any) -> Tensor:
    """The shards (r, l) of layer `number`: its private ones come first in the pool, layer by layer."""
    import torch

    mine, all_private = knobs.private * knobs.shards, knobs.private * knobs.shards * layers
    public = (knobs.equivalent_rank - knobs.private) * layers * knobs.shards
    own = torch.arange(number * mine, (number + 1) * mine)
    wanted = knobs.rank * knobs.shards - mine
    rounds = [torch.randperm(public, generator=generator) for _ in range(-(-wanted // max(1, public)))]
    others = torch.cat([own[:0], *rounds])[:wanted] + all_private
    return torch.cat([own, others]).reshape(knobs.rank, knobs.shards)


def init(knobs: Knobs, base: Any, generator: Any, shared: dict[str, Any]) -> dict[str, Tensor]:
    """The shared pools A and B, and the layer's indices."""
    return dict(shared[base.name])


def lora(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """A (r, in) and s B (out, r), put together."""
    a = values["A"][values["index_A"]].flatten(1)
    b = values["B"][values["index_B"]].flatten(1).T
    return a, knobs.alpha / knobs.rank * b


def forward(knobs: Knobs, base: Any, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    """W x + s B A x"""
    a, b = lora(knobs, base, values)
    return base(x) + x @ a.T @ b.T  # type: ignore[no-any-return]


def merge(knobs: Knobs, base: Any, values: dict[str, Tensor]) -> Tensor:
    """W + s B A"""
    a, b = lora(knobs, base, values)
    return base.weight + b @ a  # type: ignore[no-any-return]
