"""A linear layer whose rows have a length of their own: W = gain v / |v|, row by row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Gain(nn.Module):
    """gain and v in the place of W. It is saved as the plain layer with that W."""

    def __init__(self, layer: nn.Module) -> None:
        from transformers.pytorch_utils import Conv1D

        super().__init__()
        self.is_transposed = isinstance(layer, Conv1D)
        weight: Tensor = layer.weight.detach()  # type: ignore[operator]
        direction = (weight.T if self.is_transposed else weight).clone().contiguous()
        self.direction = nn.Parameter(direction)  # v (out, in)
        self.gain = nn.Parameter(direction.norm(dim=1))  # (out,)
        self.bias: nn.Parameter | None = getattr(layer, "bias", None)

    @property
    def weight(self) -> Tensor:
        """W, as the plain layer stores it."""
        length = self.direction.norm(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
        found: Tensor = (self.gain / length)[:, None] * self.direction
        return found.T.contiguous() if self.is_transposed else found

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
