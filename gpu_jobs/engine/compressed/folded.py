"""Linear layers whose weights are looked up in one memory that they share, by a map that a seed decides."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Folded(nn.Module):
    """The weight, flat, is cut into blocks of `block` values; each is a block of `memory` (places, block)."""

    FORM = "folded"
    places: Tensor

    def __init__(
        self, shape: tuple[int, int], seed: int, memory: nn.Parameter, *, bias: bool, is_transposed: bool
    ) -> None:
        super().__init__()
        self.shape, self.seed, self.is_transposed = shape, seed, is_transposed
        self.out_features, self.in_features = shape
        self.memory = memory
        self.register_buffer("places", places(shape, seed, memory.shape[0], memory.shape[1]), persistent=False)
        self.bias = nn.Parameter(torch.zeros(shape[0]), requires_grad=False) if bias else None

    @classmethod
    def empty(cls, about: dict[str, Any]) -> Folded:
        """As `describe` says, its values still to be read."""
        memory = nn.Parameter(torch.zeros(about["places"], about["block"]), requires_grad=False)
        shape = (about["outputs"], about["inputs"])
        return cls(shape, about["seed"], memory, bias=about["bias"], is_transposed=about["transposed"])

    def describe(self) -> dict[str, Any]:
        """What is needed to make it again, beside its values."""
        return {
            "form": self.FORM, "outputs": self.shape[0], "inputs": self.shape[1], "seed": self.seed,
            "places": self.memory.shape[0], "block": self.memory.shape[1], "bias": self.bias is not None,
            "transposed": self.is_transposed,
        }  # fmt: skip

    @property
    def rows(self) -> Tensor:
        """The weight, (out, in), through which gradients reach the memory."""
        return self.memory[self.places].flatten()[: self.shape[0] * self.shape[1]].view(self.shape)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.rows, self.bias)

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Weight (out, in) and bias of the plain layer."""
        return self.rows.detach(), self.bias


def places(shape: tuple[int, int], seed: int, count: int, block: int) -> Tensor:
    """Which of `count` blocks of the memory stands at each block of a weight of this shape."""
    blocks = -(-shape[0] * shape[1] // block)
    return torch.randint(count, (blocks,), generator=torch.Generator().manual_seed(seed))
