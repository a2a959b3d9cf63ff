"""Linear layers whose weights are looked up in one memory that they share, by a map that a seed decides.

    block b of all layers' weights, one after another  ->  place p(b) of the memory:   W_b = s memory[p(b)]
    p = a random permutation of the blocks, folded: modulo the number of places

s is the layer's own scale. As many places as blocks are the plain layers. A gradient reaches the memory divided by the
number of weights that use it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Map(NamedTuple):
    """Where the blocks of all layers lie in the memory."""

    seed: int
    blocks: int
    places: int

    def of(self, first: int, count: int) -> Tensor:
        """The places of so many blocks from this one on."""
        order = torch.randperm(self.blocks, generator=torch.Generator().manual_seed(self.seed))
        return order[first : first + count] % self.places


class _Scaled(torch.autograd.Function):
    """The memory as it is; its gradient times a factor."""

    @staticmethod
    def forward(ctx: Any, memory: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return memory.view_as(memory)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * ctx.factor, None


class Folded(nn.Module):
    """One layer; `first` is the number of its first block among those of all layers."""

    FORM = "folded"
    places: Tensor
    scale: Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        where: Map,
        first: int,
        memory: nn.Parameter,
        scale: Tensor,
        bias: Tensor | None,
        *,
        is_transposed: bool,
    ) -> None:
        super().__init__()
        self.shape, self.map, self.first, self.is_transposed = shape, where, first, is_transposed
        self.out_features, self.in_features = shape
        self.memory = memory  # (places, block)
        count = blocks(shape, memory.shape[1])
        self.register_buffer("places", where.of(first, count), persistent=False)
        self.register_buffer("scale", scale)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)

    @classmethod
    def empty(cls, about: dict[str, Any]) -> Folded:
        """As `describe` says, its values still to be read."""
        where = Map(about["seed"], about["blocks"], about["places"])
        memory = nn.Parameter(torch.zeros(where.places, about["block"]), requires_grad=False)
        shape, bias = (about["outputs"], about["inputs"]), torch.zeros(about["outputs"]) if about["bias"] else None
        return cls(shape, where, about["first"], memory, torch.ones(()), bias, is_transposed=about["transposed"])

    def describe(self) -> dict[str, Any]:
        """What is needed to make it again, beside its values."""
        return {
            "form": self.FORM, **self.map._asdict(), "block": self.memory.shape[1], "first": self.first,
            "outputs": self.shape[0], "inputs": self.shape[1], "bias": self.bias is not None,
            "transposed": self.is_transposed,
        }  # fmt: skip

    @property
    def rows(self) -> Tensor:
        """The weight, (out, in), through which gradients reach the memory."""
        memory: Tensor = _Scaled.apply(self.memory, self.map.places / self.map.blocks)  # type: ignore[no-untyped-call]
        flat = memory[self.places].flatten()[: self.shape[0] * self.shape[1]]
        return flat.view(self.shape) * self.scale

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.rows, self.bias)

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Weight (out, in) and bias of the plain layer."""
        return self.rows.detach(), self.bias


def blocks(shape: tuple[int, int], block: int) -> int:
    """Blocks of a weight; the last is filled up."""
    return -(-shape[0] * shape[1] // block)
