"""A linear layer whose weight is stored as codes of few bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gpu_jobs.engine.compressed.coding import Codes, Coding, decode, encode, layout, pack, unpack


class Coded(nn.Module):
    """Codes are packed in bytes; the weight is made for the time of a forward, which computes as the plain layer."""

    FORM = "coded"
    codes: Tensor
    scales: Tensor
    zeros: Tensor | None

    def __init__(self, shape: tuple[int, int], how: Coding, found: Codes, *, bias: bool, is_transposed: bool) -> None:
        super().__init__()
        self.shape, self.how, self.is_transposed = shape, how, is_transposed
        self.out_features, self.in_features = shape
        self.coded_values = shape[0] * shape[1]
        self.register_buffer("codes", pack(found.codes, how.bits))
        self.register_buffer("scales", found.scales)
        self.register_buffer("zeros", found.zeros)
        self.bias = nn.Parameter(torch.zeros(shape[0]), requires_grad=False) if bias else None

    @classmethod
    def of(cls, weight: Tensor, how: Coding, bias: Tensor | None, *, is_transposed: bool) -> Coded:
        """The nearest codes of a weight (out, in)."""
        shape = (weight.shape[0], weight.shape[1])
        made = cls(shape, how, encode(weight, how), bias=bias is not None, is_transposed=is_transposed)
        if bias is not None:
            made.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
        return made

    @classmethod
    def empty(cls, about: dict[str, Any]) -> Coded:
        """As `describe` says, its values still to be read."""
        how = Coding(about["format"], about["granularity"], about["group"], about["symmetric"])
        shape = (about["outputs"], about["inputs"])
        size = layout(how, shape)
        is_offset = how.format.startswith("int") and not how.symmetric
        zeros = torch.zeros(size[:2], dtype=torch.uint8) if is_offset else None
        found = Codes(torch.zeros(size, dtype=torch.uint8), torch.zeros(size[:2]), zeros)
        return cls(shape, how, found, bias=about["bias"], is_transposed=about["transposed"])

    def describe(self) -> dict[str, Any]:
        """What is needed to make it again, beside its values."""
        return {
            "form": self.FORM, **self.how._asdict(), "outputs": self.shape[0], "inputs": self.shape[1],
            "bias": self.bias is not None, "transposed": self.is_transposed,
        }  # fmt: skip

    @property
    def rows(self) -> Tensor:
        """The weight, (out, in)."""
        codes = unpack(self.codes, self.how.bits, layout(self.how, self.shape))
        return decode(Codes(codes, self.scales, self.zeros), self.how, self.shape)

    @property
    def weight(self) -> Tensor:
        """As the plain layer stores it."""
        return self.rows.T.contiguous() if self.is_transposed else self.rows

    def forward(self, x: Tensor) -> Tensor:
        if not self.is_transposed:
            return F.linear(x, self.weight, self.bias)
        assert self.bias is not None
        flat = torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight)
        return flat.view(*x.shape[:-1], -1)

    def stored_bytes(self) -> int:
        """Codes, scales and zeros."""
        return sum(value.numel() * value.element_size() for value in self.buffers())

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Weight (out, in) and bias of the plain layer."""
        return self.rows, self.bias
