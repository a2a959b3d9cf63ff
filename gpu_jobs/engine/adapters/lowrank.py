"""What low-rank methods of our own have in common: how A and B begin."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def kaiming(*shape: int, generator: torch.Generator) -> nn.Parameter:
    """As torch's linear layers begin: uniform within 1 / sqrt(in), where `in` is the last dimension."""
    return nn.Parameter(nn.init.kaiming_uniform_(torch.empty(*shape), a=5**0.5, generator=generator))


def normal(*shape: int, std: float, generator: torch.Generator) -> nn.Parameter:
    """N(0, std)"""
    return nn.Parameter(torch.randn(*shape, generator=generator) * std)


def factors(rank: int, base: Any, generator: torch.Generator) -> dict[str, Tensor]:
    """A (rank, in) random and B (out, rank) zero: LoRA's beginning."""
    a = kaiming(rank, base.inputs, generator=generator)
    return {"A": a, "B": nn.Parameter(torch.zeros(base.outputs, rank))}
