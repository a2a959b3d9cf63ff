"""Mean and covariance of what a layer puts out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpu_jobs.engine.pruning.layers import Layer


class Outputs:
    """Sums over all outputs of a layer so far, in float64 where the device has it."""

    def __init__(self, layer: Layer, device: torch.device) -> None:
        self._weight, self._bias = layer.weight, getattr(layer.module, "bias", None)
        kind = torch.float32 if device.type == "mps" else torch.float64
        width = len(self._weight)
        self.count = 0
        self._sum = torch.zeros(width, device=device, dtype=kind)
        self._products = torch.zeros(width, width, device=device, dtype=kind)

    def add(self, x: Tensor) -> None:
        """x (..., in), what the layer is given; padded positions must have been left out."""
        rows = x.detach().reshape(-1, x.shape[-1]).float() @ self._weight.T
        y: Any = (rows if self._bias is None else rows + self._bias.float()).to(self._sum.dtype)
        self.count += len(y)
        self._sum += y.sum(0)
        self._products.addmm_(y.T, y)

    @property
    def mean(self) -> Tensor:
        """(out,)"""
        return self._sum / max(1, self.count)

    @property
    def covariance(self) -> Tensor:
        """(out, out), of the tokens seen."""
        return self._products / max(1, self.count) - self.mean[:, None] * self.mean

    def components(self) -> tuple[Tensor, Tensor]:
        """Variances, the largest first, and their directions as columns."""
        variances, basis = torch.linalg.eigh(self.covariance)
        return variances.clamp(min=0).flip(0), basis.flip(1)
