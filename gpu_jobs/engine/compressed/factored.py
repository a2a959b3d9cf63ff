"""A linear layer as two factors of a lower rank."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Factored(nn.Module):
    """y = U (V x) + b with V (rank, in) in `down` and U (out, rank) and b in `up`."""

    FORM = "factored"

    def __init__(self, inputs: int, rank: int, outputs: int, *, bias: bool, is_transposed: bool) -> None:
        super().__init__()
        self.in_features, self.rank, self.out_features = inputs, rank, outputs
        self.is_transposed = is_transposed  # whether the plain layer stores its weight (in, out)
        with torch.random.fork_rng(devices=[]):  # its values are written by whoever makes it
            self.down = nn.Linear(inputs, rank, bias=False)
            self.up = nn.Linear(rank, outputs, bias=bias)

    @classmethod
    def of(cls, up: Tensor, down: Tensor, bias: Tensor | None, *, is_transposed: bool) -> Factored:
        """With these values, U (out, rank) and V (rank, in)."""
        made = cls(down.shape[1], len(down), len(up), bias=bias is not None, is_transposed=is_transposed)
        made.down.weight, made.up.weight = nn.Parameter(down.contiguous()), nn.Parameter(up.contiguous())
        if bias is not None:
            made.up.bias = nn.Parameter(bias.detach().clone())
        return made.requires_grad_(False)

    @classmethod
    def empty(cls, about: dict[str, Any]) -> Factored:
        """As `describe` says, its values still to be read."""
        return cls(
            about["inputs"], about["rank"], about["outputs"], bias=about["bias"], is_transposed=about["transposed"]
        )

    def describe(self) -> dict[str, Any]:
        """What is needed to make it again, beside its values."""
        return {
            "form": self.FORM, "inputs": self.in_features, "rank": self.rank, "outputs": self.out_features,
            "bias": self.up.bias is not None, "transposed": self.is_transposed,
        }  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.up(self.down(x))
        return found

    def product(self) -> Tensor:
        """U V, (out, in)."""
        return self.up.weight @ self.down.weight

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Weight (out, in) and bias of the plain layer."""
        return self.product().detach(), self.up.bias
