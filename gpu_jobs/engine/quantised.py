"""A linear layer whose weight is integer codes times scales: codes are packed and never change, scales are trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST = 1e-7  # of a scale


class Quantised(nn.Module):
    """W = (code - q) Delta, with q = 2^(bits-1) - 1 and one Delta for each group of inputs of an output.

    The weight is made for the time of a forward. Saved, it is the plain layer with that weight. The codes are no part
    of a checkpoint: they come from the base again.
    """

    codes: Tensor

    def __init__(self, layer: nn.Module, bits: int, group: int) -> None:
        from transformers.pytorch_utils import Conv1D

        super().__init__()
        self.is_transposed, self.bits, self.group = isinstance(layer, Conv1D), bits, group
        weight: Tensor = layer.weight.detach()  # type: ignore[operator]
        rows = weight.T if self.is_transposed else weight
        codes, scales = rounded(rows, bits, group)
        self.inputs, self.coded_values = rows.shape[1], weight.numel()
        self.register_buffer("codes", packed(codes, bits), persistent=False)
        self.scales = nn.Parameter(scales)  # (out, groups)
        self.bias: nn.Parameter | None = getattr(layer, "bias", None)

    @property
    def weight(self) -> Tensor:
        """As the plain layer stores it."""
        codes = unpacked(self.codes, self.bits).view(*self.scales.shape, self.group)
        values = (codes.to(self.scales.dtype) - largest(self.bits)) * self.scales[..., None]
        rows = values.flatten(1)[:, : self.inputs]
        return rows.T.contiguous() if self.is_transposed else rows.contiguous()

    def forward(self, x: Tensor) -> Tensor:
        if not self.is_transposed:
            return F.linear(x, self.weight, self.bias)
        assert self.bias is not None
        flat = torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight)
        return flat.view(*x.shape[:-1], -1)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[f"{prefix}weight"] = self.weight.detach()
        if self.bias is not None:
            destination[f"{prefix}bias"] = self.bias if keep_vars else self.bias.detach()


def largest(bits: int) -> int:
    """q: codes without their offset lie between -q and q."""
    return int(2 ** (bits - 1) - 1)


def rounded(rows: Tensor, bits: int, group: int) -> tuple[Tensor, Tensor]:
    """uint8 codes (out, groups, group) and float32 scales (out, groups) of the nearest values; Delta = max |W| / q."""
    grouped = F.pad(rows.float(), (0, -rows.shape[1] % group)).view(len(rows), -1, group)
    scales = (grouped.abs().amax(-1) / largest(bits)).clamp(min=SMALLEST)
    codes = (grouped / scales[..., None]).round().clamp(-largest(bits), largest(bits)) + largest(bits)
    return codes.to(torch.uint8), scales


def packed(codes: Tensor, bits: int) -> Tensor:
    """8 / bits codes in each byte, the first of them in its lowest bits; a group has a multiple of them."""
    parts = codes.reshape(-1, 8 // bits)
    return (parts << _shifts(codes, bits)).sum(-1).to(torch.uint8)


def unpacked(found: Tensor, bits: int) -> Tensor:
    """All codes in a row."""
    parts: Tensor = (found[:, None] >> _shifts(found, bits)) & (2**bits - 1)
    return parts.flatten()


def _shifts(like: Tensor, bits: int) -> Tensor:
    return torch.arange(0, 8, bits, dtype=torch.uint8, device=like.device)
